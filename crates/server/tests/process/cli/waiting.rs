//! Starts while the database or the broker is away: nobody listens where it should be.

use std::net::TcpListener;

use throng_testkit::Connection;

use crate::cli::workspace::Workspace;

/// Where nobody listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn server_without_its_database_waits_and_says_so() {
    let (workspace, database) = (Workspace::new(), format!("postgres://throng:secret@{}/throng", nowhere()));
    let settings = [("DATABASE_URL", database.as_str()), ("CORS_ALLOW_ORIGIN", "https://news.example")];
    let mut server = workspace.start(&["--listen", "127.0.0.1:0"], &settings).once_logged("/readyz are answered on ");
    let said = server.says("the database is not available; trying again");
    assert!(said.contains("postgres://throng@127.0.0.1") && !said.contains("secret"), "{said}");

    assert_eq!(server.get("/livez").status, 200);
    for answer in [server.get("/readyz"), server.get("/"), server.post("/api/submit", b"[1]")] {
        answer.assert_problem(503, "store_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let listen = server.address.to_string();
    workspace.run_args(&["healthcheck", "--listen", &listen]).fails(1, &["not ready", "503, store_unavailable"]);
    let origin = [("origin", "https://news.example")];
    let answer = Connection::open(server.address).request("POST", "/api/submit", &origin, b"[1]");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://news.example"), "a page may read why");

    server.terminate();
    assert_eq!(server.exit_code(), Some(0), "it was asked to stop");
}

#[test]
fn server_that_waits_below_a_path_answers_as_it_does_at_the_root() {
    let (workspace, database) = (Workspace::new(), format!("postgres://throng:secret@{}/throng", nowhere()));
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("CORS_ALLOW_ORIGIN", "https://news.example"),
        ("PUBLIC_URL", "https://site.example/vote"),
    ];
    let server = workspace.start(&["--listen", "127.0.0.1:0"], &settings).once_logged("/readyz are answered on ");
    // The proxy may take the path off or leave it on.
    for prefix in ["", "/vote"] {
        let at = |path: &str| format!("{prefix}{path}");
        let livez = server.get(&at("/livez"));
        assert_eq!((livez.status, livez.text()), (200, r#"{"status":"ok"}"#), "{prefix}");
        for answer in [server.get(&at("/readyz")), server.get(&at("/")), server.post(&at("/api/submit"), b"[1]")] {
            answer.assert_problem(503, "store_unavailable");
        }
        let asked = |method, headers: &[(&str, &str)]| {
            Connection::open(server.address).request(method, &at("/api/submit"), headers, b"")
        };
        let origin = ("origin", "https://news.example");
        let preflight = asked("OPTIONS", &[origin, ("access-control-request-method", "POST")]);
        assert_eq!(preflight.status, 204, "{prefix}");
        for answer in [preflight, asked("POST", &[origin])] {
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://news.example"), "{prefix}");
        }
    }
}

#[test]
fn worker_without_its_broker_waits_and_says_so() {
    let (workspace, queue) = (Workspace::with_demo(), format!("amqp://throng:secret@{}/%2f", nowhere()));
    let settings = [("QUEUE_URL", queue.as_str()), ("WORKER_LISTEN", "127.0.0.1:0")];
    let mut worker = workspace.start(&["worker"], &settings).once_logged("/metrics are answered on ");
    worker.says("the broker is not available; trying again");
    assert_eq!(worker.get("/livez").status, 200);
    worker.get("/readyz").assert_problem(503, "queue_unavailable");
    assert!(worker.get("/metrics").text().contains("throng_worker_"));
    worker.terminate();
    assert_eq!(worker.exit_code(), Some(0), "it was asked to stop");
}

#[test]
fn start_that_is_told_not_to_wait_ends_at_once() {
    let (workspace, queue) = (Workspace::with_demo(), format!("amqp://throng:secret@{}/%2f", nowhere()));
    workspace.write(".env", &format!("QUEUE_URL={queue}\n"));
    workspace.run("serve --listen 127.0.0.1:0 --wait 0").fails(1, &["can't use the broker amqp://throng@127.0.0.1"]);
    workspace.write(".env.local", "WAIT=0\nWORKER_LISTEN=127.0.0.1:0\n");
    workspace.run("worker").fails(1, &["can't use the broker"]);
    workspace.run("worker --wait soon").fails(1, &["WAIT (from --wait)", "`soon`", "30", "forever"]);
}

#[test]
fn command_waits_only_if_its_flag_says_so() {
    let (workspace, database) = (Workspace::new(), format!("mysql://throng:secret@{}/throng", nowhere()));
    workspace.write(".env", &format!("DATABASE_URL={database}\nWAIT=forever\n"));
    workspace.run("poll list").fails(1, &["can't open mysql://throng@127.0.0.1"]);
    let mut waiting = workspace.start(&["poll", "list", "--wait", "forever"], &[]);
    waiting.says("throng: waiting for mysql://throng@127.0.0.1");
    workspace.run("schema status --wait 1").fails(1, &["waiting for mysql", "can't open mysql"]);
    workspace.run("doctor --wait 5").fails(2, &["--wait has no meaning here"]);
}
