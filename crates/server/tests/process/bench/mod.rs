//! `throng bench`, the real program, against a whole server and against servers that misbehave.

mod misbehaving;

use std::process::{Command, Output};

use serde_json::{Value, json};
use throng::voting::RehearsalKey;
use throng_domain::policy::Policy;
use throng_domain::poll::Visibility;
use throng_testkit::{NOW, TestServer, polls};

use crate::bench::misbehaving::{MisbehavingServer, Misbehaviour};

/// What the program prints and how it ends, given this server and these arguments.
fn bench(address: std::net::SocketAddr, arguments: &str) -> Output {
    Command::new(throng_testkit::built_throng())
        .args(["bench", "--url", &format!("http://{address}")])
        .args(arguments.split(' '))
        .output()
        .expect("throng runs")
}

/// The report of a run that must have failed, and what it complained of.
#[track_caller]
fn failed_bench(misbehaviour: Misbehaviour, arguments: &str) -> (Value, String) {
    let server = MisbehavingServer::start(misbehaviour);
    let output = bench(server.address, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    (serde_json::from_slice(&output.stdout).expect("a report"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn rounds_are_voted_and_counted() {
    let server = TestServer::start();
    server.post("/api/submit", b"[1,2]");
    let output = bench(server.address, "--clients 50 --rounds 3 --json");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "nothing but the report, where nobody watches: {output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["load"], json!({"kind": "rounds", "clients": 50, "rounds": 3}));
    assert_eq!(report["requests"], 150);
    assert_eq!(report["answers"], json!({"200": 150}));
    assert_eq!(report["errors"], json!({}));
    let votes = json!({"acknowledged": 150, "refused": 0, "unknown": 0, "counted_before": 2, "counted_after": 152,
        "agree": true});
    assert_eq!(report["votes"], votes);
    let latency = |name: &str| report["latency_ms"][name].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99") && latency("p99") <= latency("max"), "{report}");
    // Each option in turn: 50 clients, five options.
    assert_eq!(server.get("/api/result").text(), r#"{"1":31,"2":31,"3":30,"4":30,"5":30}"#);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let server = TestServer::start();
    let output = bench(server.address, "--rate 200 --duration 2s --clients 20 --json");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["load"], json!({"kind": "rate", "clients": 20, "rate": 200, "duration_s": 2.0}));
    assert_eq!(report["answers"], json!({"200": 400}));
    assert_eq!(report["votes"]["agree"], true);
    let took = report["took_s"].as_f64().unwrap();
    assert!(took >= 1.995, "the last vote begins 5 ms before the end: {took}");
}

#[test]
fn rehearsal_is_voted_in_and_counted() {
    let server = TestServer::start_with(&[("VOTES_PER_NETWORK", "10")]);
    polls::create(&server, "test", |poll| {
        (poll.rehearsal, poll.results, poll.policy) = (true, Visibility::Never, Policy::Device);
        poll.min_choices = Some(2);
    });
    let poll = server.app.polls.current().by_slug("test").unwrap().poll.id;
    let pass = RehearsalKey(&server.app.rehearsal_key).pass(poll, NOW.plus_ms(60_000));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pass");
    std::fs::write(&file, format!("{pass}\n")).unwrap();
    let rehearse = format!("--rehearse test --pass-file {}", file.display());
    // Twice: the ballots of a run are new ones.
    for (round, before) in [(1, 0), (2, 150)] {
        let output = bench(server.address, &format!("{rehearse} --clients 50 --rounds 3 --json"));
        assert!(output.status.success(), "{round}: {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["rehearsal"], &report["answers"]), (&json!("test"), &json!({"201": 150})));
        assert_eq!(report["votes"]["counted_before"], before);
        assert_eq!(report["votes"]["agree"], true);
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":0,"2":0,"3":0,"4":0,"5":0}"#, "no poll of voters has a vote");
    let output = bench(server.address, &format!("{rehearse} --rate 100 --duration 1s --clients 9"));
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains(", rehearsal `test`, 100 votes a second"), "{report}");

    for (slug, contents, complaint) in [
        ("demo", &*pass, "it isn't a rehearsal"),
        ("test", "1.00", "make one with `throng poll pass`"),
        ("test", "", "has no pass"),
        ("test", "a\r\nb: c", "has no pass"),
        ("other", &*pass, "status 404"),
    ] {
        std::fs::write(&file, contents).unwrap();
        let output = bench(server.address, &format!("--rehearse {slug} --pass-file {} --clients 1", file.display()));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{slug}: {said}");
        assert!(said.contains(complaint), "{slug}: {said}");
    }
}

#[test]
fn the_report_is_readable_too() {
    let server = TestServer::start();
    let output = bench(server.address, "--clients 5 --rounds 2");
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("answers    10 × 200\nerrors     none\n"), "{report}");
    assert!(report.contains("the server counted 10 (from 0 to 10): right"), "{report}");
}

#[test]
fn a_server_that_acknowledges_and_does_not_count_is_caught() {
    let (report, complaint) = failed_bench(Misbehaviour::Forgets, "--clients 3 --rounds 2 --settle 0s --json");
    assert_eq!((&report["votes"]["acknowledged"], &report["votes"]["counted_after"]), (&json!(6), &json!(0)));
    assert_eq!(report["votes"]["agree"], false);
    assert!(complaint.contains("the count is wrong: 6 votes were acknowledged"), "{complaint}");
}

#[test]
fn a_server_that_counts_what_it_refuses_is_caught() {
    let (report, complaint) = failed_bench(Misbehaviour::RefusesAndCounts, "--clients 3 --rounds 2 --settle 0s --json");
    assert_eq!(report["answers"], json!({"500": 6}));
    assert_eq!((&report["votes"]["refused"], &report["votes"]["counted_after"]), (&json!(6), &json!(6)));
    assert!(complaint.contains("6 of 6 votes failed (answers by status: 6 × 500; errors: none)"), "{complaint}");
    assert!(complaint.contains("the count is wrong"), "{complaint}");
}

#[test]
fn a_connection_closed_after_its_answer_is_opened_again() {
    let server = MisbehavingServer::start(Misbehaviour::Closes);
    let output = bench(server.address, "--clients 4 --rounds 3 --json");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["answers"], &report["votes"]["agree"]), (&json!({"200": 12}), &json!(true)));
}

#[test]
fn a_vote_whose_connection_dies_may_have_been_counted() {
    let (report, complaint) = failed_bench(Misbehaviour::CountsAndCuts, "--clients 4 --rounds 2 --json");
    assert_eq!(report["errors"], json!({"cut": 8}));
    assert_eq!((&report["votes"]["unknown"], &report["votes"]["agree"]), (&json!(8), &json!(true)));
    assert!(complaint.contains("8 of 8 votes failed"), "{complaint}");
}

#[test]
fn a_round_with_a_server_that_stalls_ends() {
    let (report, _) = failed_bench(Misbehaviour::Stalls, "--clients 3 --rounds 2 --timeout 200ms --settle 0s --json");
    assert_eq!(report["errors"], json!({"unanswered": 6}));
    assert_eq!(report["votes"]["unknown"], 6);
}

#[test]
fn an_open_loop_hides_no_stall_and_ends() {
    let arguments = "--rate 100 --duration 1s --clients 2 --timeout 300ms --settle 0s --json";
    let (report, complaint) = failed_bench(Misbehaviour::Stalls, arguments);
    assert_eq!(report["requests"], 100, "all that were to begin, not only those that found a client: {report}");
    let count = |error: &str| report["errors"][error].as_u64().unwrap_or(0);
    assert!(count("unanswered") >= 2, "{report}");
    assert_eq!(count("unanswered") + count("unsent"), 100, "{report}");
    assert!(report["latency_ms"]["p50"].as_f64().is_some_and(|ms| ms >= 299.0), "{report}");
    assert!(report["took_s"].as_f64().is_some_and(|took| took < 5.0), "{report}");
    assert!(complaint.contains("100 of 100 votes failed"), "{complaint}");
}

#[test]
fn what_cannot_be_run_is_said_with_what_to_do() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (arguments, code, complaint) in [
        ("--clients 4000000000", 1, "4000000000 clients need 4000000064 open files"),
        ("--clients 1", 1, "start the server, or check --url"),
        ("--rate 5", 2, "--duration"),
        ("--rehearse test", 2, "--pass-file"),
        ("--rehearse test --pass-file /nothing/here", 1, "can't be read"),
        ("--rate 5 --duration 5", 2, "such as 10s"),
        ("--rate 5 --duration 5s --rounds 2", 2, "cannot be used with"),
        ("--url https://127.0.0.1", 2, "cannot be used multiple times"),
    ] {
        let output = bench(nobody, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(complaint), "{arguments}: {said}");
    }
}
