//! Commands beside a server, and two servers side by side.

use rustix::process::Signal;
use throng_testkit::{Connection, WAIT_MAX, eventually};

use crate::cli::workspace::{Ran, Workspace};

#[test]
fn a_server_that_runs_sees_what_commands_change() {
    let workspace = Workspace::new();
    let server = workspace.serve();
    workspace.create("song", "").succeeds();
    workspace.run("poll open song").succeeds();
    let open = server.get_until("/api/v1/polls/song", |answer| answer.status == 200).json();
    assert_eq!(open["state"], "open");
    let shown = workspace.run("poll show song --json").json();
    for (field, value) in open.as_object().unwrap() {
        assert_eq!(shown[field], *value, "{field}");
    }
    assert!(open.get("allowed_origins").is_none() && shown["allowed_origins"].is_array(), "that is for operators");
    let ballot = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[2]}"#;
    assert_eq!(server.post("/api/v1/polls/song/ballots", ballot).status, 201);
    assert_eq!(workspace.run("poll results song --json").json()["options"][1]["count"], 1);

    workspace.run("poll close song").succeeds();
    server.get_until("/api/v1/polls/song", |answer| answer.json()["state"] != "open");
    let late = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000002","choices":[2]}"#;
    server.post("/api/v1/polls/song/ballots", late).assert_problem(410, "poll_closed");
    workspace.run("poll recount song").succeeds();
    assert!(workspace.run("poll export song").succeeds().contains("018f4d1e-7c00-7000-8000-000000000001"));
}

#[test]
fn a_file_has_one_server() {
    let workspace = Workspace::new();
    let server = workspace.serve();
    workspace.run("serve --listen 127.0.0.1:0").fails(1, &["another throng serves var/throng.db", "DATABASE_URL"]);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
}

#[test]
fn a_port_has_one_server() {
    let (workspace, other) = (Workspace::new(), Workspace::new());
    let server = workspace.serve();
    let listen = server.address.to_string();
    other.run_args(&["serve", "--listen", &listen]).fails(1, &[&listen, "LISTEN"]);
    assert!(!other.path("var").exists(), "a server that can't serve made a database");
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn a_worker_that_cannot_serve_says_so_before_it_takes_anything() {
    let (workspace, other) = (Workspace::new(), Workspace::new());
    let server = workspace.serve();
    let taken = server.address.to_string();
    let broker = "amqp://throng:secret@127.0.0.1:1/%2f";
    other.write(".env", &format!("QUEUE_URL={broker}\nWORKER_LISTEN={taken}\nAPP_SECRET={}\n", "s".repeat(32)));
    other.run("worker").fails(1, &[&taken, "WORKER_LISTEN"]);
    assert!(!other.path("var").exists(), "it made a database");
}

/// The fewest open files with which a server starts here.
fn files_min() -> usize {
    128 + 32 * std::thread::available_parallelism().unwrap().get()
}

#[test]
fn a_limit_of_files_without_room_for_clients_is_refused() {
    let workspace = Workspace::new();
    let ran = Ran(workspace.command_with_files(60).output().unwrap());
    ran.fails(1, &["the limit of open files is 60", &files_min().to_string(), "ulimit -n", "LimitNOFILE"]);
    assert!(!workspace.path("var").exists(), "a server that can't serve made a database");
}

#[test]
fn clients_without_a_place_wait_and_the_log_says_so() {
    let workspace = Workspace::new();
    let mut server = workspace.serve_with_files(files_min());
    // More than all cores have places for, which the kernel spreads as it likes.
    let clients: Vec<_> = (0..files_min()).map(|_| Connection::open(server.address)).collect();
    let line = server.says("no place for another connection");
    assert!(line.contains("LimitNOFILE") && line.contains("connections=32"), "{line}");
    drop(clients);
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn client_that_a_proxy_names_has_half_of_the_places() {
    let workspace = Workspace::new();
    workspace.write(".env", "PROXY_PROTOCOL=true\nTRUSTED_PROXIES=127.0.0.1\n");
    let mut server = workspace.serve_with_files(files_min());
    let address = server.address;
    let named = |client: &str| {
        let mut connection = Connection::open(address);
        let request = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        connection.send(format!("PROXY TCP4 {client} 192.0.2.9 4660 80\r\n{request}").as_bytes());
        connection
    };
    // A core has 32 places, and the kernel spreads connections over cores as it likes.
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut clients: Vec<_> = (0..cores * 24).map(|_| named("192.0.2.1")).collect();
    let answered = clients.iter_mut().filter_map(Connection::try_answer).count();
    assert!((1..=cores * 16).contains(&answered), "{answered} on {cores} cores");
    server.says("one address has half of a core's connections");
    assert_eq!(named("192.0.2.2").answer().status, 200, "others have the rest");
    drop(clients);
    eventually("its places are given back", || named("192.0.2.1").try_answer());
}

#[test]
fn signals_that_reload_other_servers_cut_nobody_off() {
    let workspace = Workspace::new();
    let mut server = workspace.serve();
    let mut connection = Connection::open(server.address);
    connection.send(b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[");
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        server.signal(signal);
        server.says(&format!("{name} has no effect"));
    }
    connection.send(b"1]");
    assert_eq!(connection.answer().status, 200);
    server.signal(Signal::QUIT);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn after_a_server_was_killed_its_file_is_served_again() {
    let workspace = Workspace::new();
    let server = workspace.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    drop(server);
    assert_eq!(workspace.run("poll results demo --json").json()["voters"], 1);
    let server = workspace.serve();
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
}

/// Another program, such as the sqlite3 workspace, may hold the right to write for as long as it likes.
#[test]
fn server_whose_file_is_locked_is_not_ready_and_refuses_at_once() {
    let workspace = Workspace::new();
    let server = workspace.serve();
    assert_eq!(server.get("/readyz").status, 200);
    let other = rusqlite::Connection::open(workspace.path("var/throng.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.get_until("/readyz", |answer| answer.status == 503).assert_problem(503, "store_unavailable");
    // If each waited for the file, three hundred would take two minutes.
    let before = tokio::time::Instant::now();
    for _ in 0..300 {
        server.post("/api/submit", b"[1]").assert_problem(503, "store_unavailable");
    }
    assert!(before.elapsed() < WAIT_MAX, "voters waited {:?}", before.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    server.get_until("/readyz", |answer| answer.status == 200);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
}

#[test]
fn healthcheck_says_whether_the_server_is_ready() {
    let workspace = Workspace::new();
    workspace.run("healthcheck --listen 127.0.0.1:1").fails(1, &["nothing answers on 127.0.0.1:1"]);
    let server = workspace.serve();
    let port = server.address.port();
    for listen in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        assert_eq!(workspace.run_args(&["healthcheck", "--listen", &listen]).succeeds(), "ready\n");
    }
    workspace.write(".env", &format!("WORKER_LISTEN=127.0.0.1:{port}\n"));
    assert_eq!(workspace.run("healthcheck --worker").succeeds(), "ready\n");
}
