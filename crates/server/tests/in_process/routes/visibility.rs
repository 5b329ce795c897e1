//! Who sees results, and when: on every route that shows some.

use serde_json::Value;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::Visibility;
use throng_testkit::{NOW, TestServer};

const NONE: &str = r#"{"1":0,"2":0,"3":0,"4":0,"5":0}"#;
const RESULT: &str = r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#;
const RESULTS: &str = "/api/v1/polls/hidden/results";

/// A server whose default poll shows its results to whom `results` says, until 20 ms from now.
fn server(results: Visibility) -> TestServer {
    let server = TestServer::start_with(&[("APP_ENV", "prod"), ("DEFAULT_POLL", "hidden")]);
    let closes_at = Some(NOW.plus_ms(20));
    server.create_poll(NewPoll { results, closes_at, ..NewPoll::demo("hidden".parse().unwrap(), NOW) });
    server
}

/// What a crowd sees on each route: answers of the compatibility ones, statuses of version 1.
struct Seen {
    vote: String,
    result: String,
    ballot: Value,
    results: u16,
}

fn seen(server: &TestServer) -> Seen {
    let vote = server.post("/api/submit", b"[1]").text().to_owned();
    let result = server.get("/api/result").text().to_owned();
    let body = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[2]}"#;
    let ballot = server.post("/api/v1/polls/hidden/ballots", body);
    assert_eq!(ballot.status, server.taken());
    let ballot = ballot.json()["results"].clone();
    Seen { vote, result, ballot, results: server.get(RESULTS).status }
}

/// Both voters had results in their answers; behind a broker with or without their own ballots, as quick as a worker was.
#[track_caller]
fn assert_voters_saw_results(server: &TestServer, seen: &Seen) {
    let behind = server.is_behind_a_broker();
    assert!(seen.vote == RESULT || behind && seen.vote == NONE, "{}", seen.vote);
    let voters = &seen.ballot["voters"];
    assert!(*voters == 2 || behind && *voters == 1, "{}", seen.ballot);
}

#[test]
fn always_is_for_everybody() {
    let server = server(Visibility::Always);
    let seen = seen(&server);
    assert_eq!((&*seen.result, seen.results), (RESULT, 200));
    assert_voters_saw_results(&server, &seen);
}

#[test]
fn after_vote_is_for_voters_with_their_answer() {
    let server = server(Visibility::AfterVote);
    let seen = seen(&server);
    assert_eq!((&*seen.result, seen.results), ("{}", 403));
    assert_voters_saw_results(&server, &seen);
}

#[test]
fn after_close_and_never_are_for_nobody_while_the_poll_is_open() {
    for results in [Visibility::AfterClose, Visibility::Never] {
        let seen = seen(&server(results));
        assert_eq!((&*seen.vote, &*seen.result, seen.ballot, seen.results), ("{}", "{}", Value::Null, 403));
    }
}

#[test]
fn the_close_shows_what_was_kept_until_then_but_never_is_never() {
    for (results, shown) in [
        (Visibility::Always, true),
        (Visibility::AfterVote, true),
        (Visibility::AfterClose, true),
        (Visibility::Never, false),
    ] {
        let server = server(results);
        server.post("/api/submit", b"[1]");
        server.clock.set(NOW.plus_ms(20));
        let answer = server.get(RESULTS);
        assert_eq!(answer.status, if shown { 200 } else { 403 }, "{results:?}");
        assert_eq!(server.get("/api/result").text(), if shown { RESULT } else { "{}" }, "{results:?}");
    }
}

#[test]
fn a_hidden_result_has_no_tag_no_size_and_no_trace() {
    let server = server(Visibility::Never);
    let before = server.get(RESULTS);
    before.assert_problem(403, "results_hidden");
    let (compat, metrics) = (server.get("/api/result"), server.get("/metrics"));
    assert!(!metrics.text().contains("hidden"), "nothing is labelled by poll");
    for _ in 0..3 {
        server.post("/api/submit", b"[1]");
    }
    let after = server.get(RESULTS);
    assert_eq!(before.body, after.body);
    assert_eq!(compat.body, server.get("/api/result").body);
    for answer in [&before, &after] {
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (None, Some("no-store")));
    }
    // Every tag there could be is no way to ask either.
    for tag in ["*", "\"3-1-open\"", "W/\"3-1-open\", \"0-1-open\""] {
        let asked = server.connect().request("GET", RESULTS, &[("if-none-match", tag)], b"");
        asked.assert_problem(403, "results_hidden");
    }
    assert!(!server.get("/api/v1/polls/hidden").text().contains("\"count\""));
}

#[test]
fn a_refused_ballot_shows_no_result() {
    let server = server(Visibility::AfterVote);
    server.post("/api/submit", b"[1]");
    let refused = server.post("/api/submit", b"[6]");
    refused.assert_problem(422, "invalid_choice");
    assert!(!refused.text().contains("\"1\""), "{}", refused.text());
}
