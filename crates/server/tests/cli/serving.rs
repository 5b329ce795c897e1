//! Commands beside a server, and two servers side by side.

use crate::shell::Shell;

#[test]
fn a_server_that_runs_sees_what_commands_change() {
    let shell = Shell::new();
    let server = shell.serve();
    shell.create("song", "").succeeds();
    shell.run("poll open song").succeeds();
    let open = server.get_until("/api/v1/polls/song", |answer| answer.status == 200).json();
    assert_eq!(open["state"], "open");
    assert_eq!(open, shell.run("poll show song --json").json());
    let ballot = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[2]}"#;
    assert_eq!(server.post("/api/v1/polls/song/ballots", ballot).status, 201);
    assert_eq!(shell.run("poll results song --json").json()["options"][1]["count"], 1);

    shell.run("poll close song").succeeds();
    server.get_until("/api/v1/polls/song", |answer| answer.json()["state"] != "open");
    let late = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000002","choices":[2]}"#;
    server.post("/api/v1/polls/song/ballots", late).assert_problem(410, "poll_closed");
    shell.run("poll recount song").succeeds();
    assert!(shell.run("poll export song").succeeds().contains("018f4d1e-7c00-7000-8000-000000000001"));
}

#[test]
fn a_file_has_one_server() {
    let shell = Shell::new();
    let server = shell.serve();
    shell.run("serve --listen 127.0.0.1:0").fails(1, &["another throng serves var/throng.db", "DATABASE_URL"]);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
}

#[test]
fn a_port_has_one_server() {
    let (shell, other) = (Shell::new(), Shell::new());
    let server = shell.serve();
    let listen = server.address.to_string();
    other.run_args(&["serve", "--listen", &listen]).fails(1, &[&listen, "LISTEN"]);
    assert!(!other.path("var").exists(), "a server that can't serve made a database");
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn a_worker_that_cannot_serve_says_so_before_it_takes_anything() {
    let (shell, other) = (Shell::new(), Shell::new());
    let server = shell.serve();
    let taken = server.address.to_string();
    let broker = "amqp://throng:secret@127.0.0.1:1/%2f";
    other.write(".env", &format!("QUEUE_URL={broker}\nWORKER_LISTEN={taken}\nAPP_SECRET={}\n", "s".repeat(32)));
    other.run("worker").fails(1, &[&taken, "WORKER_LISTEN"]);
    assert!(!other.path("var").exists(), "it made a database");
}

#[test]
fn after_a_server_was_killed_its_file_is_served_again() {
    let shell = Shell::new();
    let server = shell.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    drop(server);
    assert_eq!(shell.run("poll results demo --json").json()["voters"], 1);
    let server = shell.serve();
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
}

/// Another program, such as the sqlite3 shell, may hold the right to write for as long as it likes.
#[test]
fn server_whose_file_is_locked_is_not_ready_and_refuses_at_once() {
    let shell = Shell::new();
    let server = shell.serve();
    assert_eq!(server.get("/readyz").status, 200);
    let other = rusqlite::Connection::open(shell.path("var/throng.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.get_until("/readyz", |answer| answer.status == 503).assert_problem(503, "store_unavailable");
    let before = tokio::time::Instant::now();
    for _ in 0..2 {
        server.post("/api/submit", b"[1]").assert_problem(503, "store_unavailable");
    }
    assert!(before.elapsed() < std::time::Duration::from_secs(2), "voters waited {:?}", before.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    server.get_until("/readyz", |answer| answer.status == 200);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
}
