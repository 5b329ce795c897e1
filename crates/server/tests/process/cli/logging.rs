//! What is logged, in production as JSON.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;
use throng_testkit::{Connection, eventually};

use crate::cli::workspace::Workspace;

/// Requests with more lines than a pipe and the queue before it have room for.
const REQUESTS: usize = 6_000;

/// The samples of a metric in the text of `/metrics`.
fn sample(metrics: &str, name: &str) -> u64 {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn in_production_every_line_is_an_object() {
    let workspace = Workspace::new();
    let mut server = workspace.serve_with(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    server.get("/nowhere").assert_problem(404, "not_found");
    let line: Value = serde_json::from_str(&server.says("/nowhere")).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"DEBUG".into(), &"answered".into()));
    assert_eq!((&line["method"], &line["status"], &line["client"]), (&"GET".into(), &404.into(), &"127.0.0.1".into()));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(16), "{line}");
    assert!(line["elapsed_us"].is_u64() && line["timestamp"].is_string(), "{line}");
}

#[test]
fn requests_that_succeed_are_not_logged_unasked() {
    let workspace = Workspace::new();
    let mut server = workspace.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    server.get("/nowhere").assert_problem(404, "not_found");
    server.terminate();
    let rest = server.says_until("stopped");
    assert!(!rest.iter().any(|line| line.contains("/api/") || line.contains("/nowhere")), "{rest:#?}");
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let workspace = Workspace::new();
    let (mut server, lines) = workspace.serve_unread(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    let mut connection = Connection::open(server.address);
    for _ in 0..REQUESTS {
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
    let dropped = || sample(server.get("/metrics").text(), "throng_log_lines_dropped_total");
    eventually("dropped lines are counted", || (dropped() > 0).then_some(()));
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    drop(lines);
}

#[test]
fn a_log_that_is_read_again_says_what_is_missing() {
    let workspace = Workspace::new();
    let (server, mut lines) = workspace.serve_unread(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    let mut connection = Connection::open(server.address);
    for _ in 0..REQUESTS {
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
    let said = lines.find(|line| line.as_ref().unwrap().contains("were dropped")).unwrap().unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["level"], "WARN");
    assert!((1..=REQUESTS).contains(&usize::try_from(said["dropped"].as_u64().unwrap()).unwrap()), "{said}");
}

#[test]
fn the_last_lines_are_written_before_an_end_with_an_error() {
    let workspace = Workspace::new();
    let nowhere = "mysql://throng:secret@127.0.0.1:1/throng";
    let ran = workspace.run_args(&["serve", "--listen", "127.0.0.1:0", "--database-url", nowhere, "--wait", "0"]);
    ran.fails(1, &["starting database=", "throng: can't open"]);
    assert!(ran.complaint().find("starting") < ran.complaint().find("throng: can't"), "{}", ran.complaint());
}

#[test]
fn a_full_pipe_holds_no_failing_command_up() {
    let workspace = Workspace::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4_096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let url = "mysql://x@127.0.0.1:1/x";
    let mut command = workspace.command(&["serve", "--listen", "127.0.0.1:0", "--database-url", url, "--wait", "0"]);
    let mut child = command.stderr(Stdio::from(writer.try_clone().unwrap())).stdout(writer).spawn().unwrap();
    drop(command);
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    drop(reader);
}
