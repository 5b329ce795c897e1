//! A store that is slow, away or broken: what callers are told is true.

use serde_json::json;
use throng_domain::store::StoreError;
use throng_testkit::{Connection, GatedStore, TestServer, eventually};

/// How many ballots may wait in these tests, on two cores.
const WAITING_MAX: usize = 8;

fn vote(server: &TestServer, option: usize) -> Connection {
    let mut connection = server.connect();
    connection.send_request("POST", "/api/submit", &[], format!("[{option}]").as_bytes());
    connection
}

fn waiting(server: &TestServer) -> usize {
    let text = server.app.metrics.text();
    let line = text.lines().find(|line| line.starts_with("throng_ballots_waiting ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Fills both ballot queues: with more callers than places, so many are admitted and all others are told to come again.
fn fill(server: &TestServer, store: &GatedStore) -> Vec<Connection> {
    store.shut();
    let mut held = vec![vote(server, 1)];
    store.wait_for_batch();
    // Which core a connection comes to is the kernel's choice, so some are refused before both ballot queues are full.
    while waiting(server) < WAITING_MAX {
        let before = (waiting(server), refused(server));
        let connection = vote(server, 1);
        eventually("a ballot is admitted or refused", || ((waiting(server), refused(server)) != before).then_some(()));
        if waiting(server) > before.0 {
            held.push(connection);
        }
    }
    held
}

fn refused(server: &TestServer) -> usize {
    let text = server.app.metrics.text();
    let line =
        text.lines().find(|line| line.starts_with(r#"throng_ballots_refused_total{reason="overloaded"} "#)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_full_intake_takes_nothing_more_and_says_when_to_come_again() {
    let (server, store) = TestServer::start_gated(WAITING_MAX);
    let held = fill(&server, &store);
    assert_eq!(held.len(), WAITING_MAX);
    for _ in 0..10 {
        let answer = vote(&server, 2).answer();
        answer.assert_problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Reading and being alive have nothing to do with it.
    for path in ["/api/result", "/api/v1/polls/demo/results", "/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    store.open();
    for mut connection in held {
        assert_eq!(connection.answer().status, 200);
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":8,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(vote(&server, 3).answer().status, 200, "there is room again");
    assert_eq!(waiting(&server), 0);
}

#[test]
fn a_store_that_is_away_has_taken_nothing() {
    let (server, store) = TestServer::start_gated(WAITING_MAX);
    store.fail_with(Some(|| StoreError::Unavailable("gone for lunch".into())));
    for _ in 0..3 {
        let answer = vote(&server, 1).answer();
        answer.assert_problem(503, "store_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.text().contains("lunch"), "what went wrong inside is for the log");
    }
    store.fail_with(None);
    assert_eq!(vote(&server, 2).answer().text(), r#"{"1":0,"2":1,"3":0,"4":0,"5":0}"#);
}

#[test]
fn a_ballot_without_an_id_of_its_own_is_told_one_to_come_again_with() {
    let (server, store) = TestServer::start_gated(WAITING_MAX);
    store.fail_with(Some(|| StoreError::Unknown("the connection broke".into())));
    let problem = vote(&server, 2).answer();
    problem.assert_problem(500, "outcome_unknown");
    store.fail_with(None);
    let ballot = json!({"ballot_id": problem.json()["ballot_id"], "choices": [2]}).to_string();
    for _ in 0..2 {
        assert_eq!(server.post("/api/v1/polls/demo/ballots", ballot.as_bytes()).status, 201);
    }
    assert_eq!(server.voters(), 1);
}

#[test]
fn a_failed_write_is_told_as_it_is_and_ends_the_server() {
    let (mut server, store) = TestServer::start_gated(WAITING_MAX);
    store.shut();
    let mut tried = vote(&server, 1);
    store.wait_for_batch();
    // These gather while the batch before them fails: nobody tries to record them.
    let mut gathered: Vec<_> = (0..3).map(|_| vote(&server, 2)).collect();
    eventually("all have been admitted", || (waiting(&server) == 4).then_some(()));
    let mut idle = server.connect();
    store.fail_with(Some(|| StoreError::WriteFailed("no space left".into())));
    store.open();
    let answer = tried.answer();
    answer.assert_problem(500, "outcome_unknown");
    assert!(!answer.text().contains("space"), "what went wrong inside is for the log");
    for connection in &mut gathered {
        connection.answer().assert_problem(503, "store_unavailable");
    }
    // Whoever still has a connection isn't left to wait for a recorder that is gone.
    idle.send_request("POST", "/api/submit", &[], b"[3]");
    if let Some(answer) = idle.try_answer() {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    }
    let failure = server.end().unwrap_err();
    assert!(failure.to_string().contains("no space left"), "{failure}");
    assert_eq!(server.stored_voters(), 0);
}

#[test]
fn a_ballot_whose_sender_went_away_is_recorded_once() {
    let (server, store) = TestServer::start_gated(WAITING_MAX);
    store.shut();
    let first = vote(&server, 1);
    store.wait_for_batch();
    let second = vote(&server, 2);
    eventually("both have been admitted", || (waiting(&server) == 2).then_some(()));
    drop((first, second));
    store.open();
    eventually("both are recorded", || (waiting(&server) == 0).then_some(()));
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":1,"3":0,"4":0,"5":0}"#);
}

#[test]
fn what_was_admitted_before_a_stop_is_recorded() {
    let (mut server, store) = TestServer::start_gated(WAITING_MAX);
    store.shut();
    let held: Vec<_> = (0..3).map(|_| vote(&server, 1)).collect();
    eventually("all have been admitted", || (waiting(&server) == 3).then_some(()));
    server.begin_stop();
    eventually("the shutdown has begun", || server.app.shutdown.is_draining().then_some(()));
    store.open();
    for mut connection in held {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    server.join();
    assert_eq!(server.stored_voters(), 3);
}
