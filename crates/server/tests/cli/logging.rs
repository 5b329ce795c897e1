//! What is logged, in production as JSON.

use serde_json::Value;

use crate::shell::Shell;

#[test]
fn in_production_every_line_is_an_object() {
    let shell = Shell::new();
    let server = shell.serve_with(&[("APP_ENV", "prod"), ("LOG", "info,throng::request=debug")]);
    server.get("/nowhere").assert_problem(404, "not_found");
    let line: Value = serde_json::from_str(&server.logged("/nowhere")).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"DEBUG".into(), &"answered".into()));
    assert_eq!((&line["method"], &line["status"], &line["client"]), (&"GET".into(), &404.into(), &"127.0.0.1".into()));
    assert_eq!(line["request_id"].as_str().map(str::len), Some(16), "{line}");
    assert!(line["elapsed_us"].is_u64() && line["timestamp"].is_string(), "{line}");
}

#[test]
fn requests_that_succeed_are_not_logged_unasked() {
    let shell = Shell::new();
    let server = shell.serve();
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    server.get("/nowhere").assert_problem(404, "not_found");
    server.terminate();
    let rest = server.logged_until("stopped");
    assert!(!rest.iter().any(|line| line.contains("/api/") || line.contains("/nowhere")), "{rest:#?}");
}
