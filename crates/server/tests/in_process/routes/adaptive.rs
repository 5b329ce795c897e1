//! Polls that require a proof of work while their votes look unusual, by every way to vote.

use serde_json::json;
use throng::anomaly::{AnomalyReport, Reason, SCORE_ON};
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Policy;
use throng_domain::poll::{PollId, Proof};
use throng_testkit::{Answer, Connection, NOW, TestServer, eventually, solve};
use uuid::Uuid;

const BEHIND_PROXY: [(&str, &str); 2] = [("APP_ENV", "prod"), ("TRUSTED_PROXIES", "127.0.0.1")];
const FORM: &str = "application/x-www-form-urlencoded";
const ATTACKER: &str = "192.0.2.1";
const BURST: u32 = 300;

/// A server behind a proxy, whose default poll requires a proof while its votes look unusual.
fn server() -> TestServer {
    let secret = ("APP_SECRET", "0123456789abcdef0123456789abcdef");
    let server = TestServer::start_with(&[&BEHIND_PROXY[..], &[secret]].concat());
    server.create_poll(NewPoll { proof: Proof::Adaptive, ..demo() });
    server
}

fn demo() -> NewPoll {
    NewPoll::demo("demo".parse().unwrap(), NOW)
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

/// Casts a ballot in version 1 from this address; `more` is the rest of its object.
fn cast(connection: &mut Connection, address: &str, id: &str, more: &str) -> Answer {
    let body = format!(r#"{{"ballot_id":"{id}","choices":[1]{more}}}"#);
    let headers = [("content-type", "application/json"), ("x-forwarded-for", address)];
    connection.request("POST", "/api/v1/polls/demo/ballots", &headers, body.as_bytes())
}

fn cast_with(server: &TestServer, address: &str, id: &str, proof: &str) -> Answer {
    cast(&mut server.connect(), address, id, &format!(r#","proof":"{proof}""#))
}

/// Sends so many ballots, each from the address that it is given.
fn burst(server: &TestServer, address: impl Fn(u32) -> String) {
    let mut connection = server.connect();
    for vote in 0..BURST {
        cast(&mut connection, &address(vote), &new_id(), "");
    }
}

fn demo_id(server: &TestServer) -> PollId {
    server.app.polls.current().by_slug("demo").unwrap().poll.id
}

/// The report on the demo poll's votes, once it has so many.
fn report_of(server: &TestServer, votes: u64) -> AnomalyReport {
    let poll = demo_id(server);
    eventually("the votes are scored", || Some(server.app.anomalies.report(poll)).filter(|it| it.votes >= votes))
}

/// A server whose default poll requires proofs at this moment.
fn attacked() -> TestServer {
    let server = server();
    burst(&server, |_| ATTACKER.to_owned());
    let poll = demo_id(&server);
    eventually("it asks for proofs", || server.app.anomalies.is_over(poll).then_some(()));
    server
}

fn given(server: &TestServer, id: &str) -> serde_json::Value {
    server.get(&format!("/api/v1/polls/demo/challenge?ballot_id={id}")).json()
}

#[test]
fn quiet_poll_needs_no_proof() {
    let server = server();
    assert_eq!(server.get("/api/v1/polls/demo").json()["proof"], "adaptive");
    assert_eq!(given(&server, &new_id()), json!({"challenge": null, "difficulty": null, "expires_at": null}));
    let mut connection = server.connect();
    // An office, all at once.
    for _ in 0..150 {
        assert_eq!(cast(&mut connection, ATTACKER, &new_id(), "").status, server.taken());
    }
    let report = report_of(&server, 150);
    assert_eq!((report.score, report.reasons), (0, vec![]));
    assert_eq!(cast_with(&server, ATTACKER, &new_id(), "nonsense").status, server.taken(), "ignored");
    let simple = connection.request("POST", "/api/submit", &[("x-forwarded-for", ATTACKER)], b"[1]");
    assert_eq!(simple.status, 200);
    assert_eq!(server.stored_voters(), 152);
}

#[test]
fn crowd_of_many_networks_needs_no_proof() {
    let server = server();
    burst(&server, |vote| format!("192.0.{}.{}", vote / 100, vote % 100));
    let report = report_of(&server, BURST.into());
    assert_eq!((report.score, server.metric("throng_anomaly_polls")), (0, 0), "{report:?}");
    assert_eq!(cast(&mut server.connect(), "192.0.2.250", &new_id(), "").status, server.taken());
}

/// S29, by proofs: a burst from one network asks all for a proof, and counts with one.
#[test]
fn burst_from_one_network_asks_for_a_proof_until_it_is_over() {
    let server = attacked();
    let poll = demo_id(&server);
    let report = server.app.anomalies.report(poll);
    assert!(report.score >= SCORE_ON && report.reasons[0].0 == Reason::OneNetwork, "{report:?}");
    assert_eq!(server.metric("throng_anomaly_polls"), 1);
    assert!(server.metric("throng_anomaly_score_max") >= SCORE_ON.into());
    assert_eq!(server.metric(r#"throng_anomaly_reasons_total{reason="one_network"}"#), 1);
    let voters = server.stored_voters();
    for address in [ATTACKER, "198.51.100.1"] {
        let id = new_id();
        let refused = cast(&mut server.connect(), address, &id, "");
        refused.assert_problem(428, "proof_required");
        let proof = solve(refused.json()["challenge"].as_str().unwrap());
        assert_eq!(cast_with(&server, address, &id, &proof).status, server.taken());
        let answer = cast_with(&server, address, &new_id(), &proof);
        answer.assert_problem(428, "proof_invalid");
        assert!(answer.json()["challenge"].is_string(), "{answer:?}");
    }
    assert_eq!(server.stored_voters(), voters + 2);
    server.clock.set(NOW.plus_ms(120_000));
    eventually("it asks no more", || (!server.app.anomalies.is_over(poll)).then_some(()));
    assert_eq!(given(&server, &new_id())["challenge"], json!(null));
    assert_eq!(cast(&mut server.connect(), ATTACKER, &new_id(), "").status, server.taken());
    assert_eq!(server.metric("throng_anomaly_polls"), 0);
}

#[test]
fn change_between_challenge_and_vote_loses_no_vote() {
    let server = attacked();
    let poll = demo_id(&server);
    let id = new_id();
    let proof = solve(given(&server, &id)["challenge"].as_str().unwrap());
    server.clock.set(NOW.plus_ms(120_000));
    eventually("it asks no more", || (!server.app.anomalies.is_over(poll)).then_some(()));
    assert_eq!(cast_with(&server, ATTACKER, &id, &proof).status, server.taken(), "a proof that isn't needed");
    // One that was counted before, and is sent again when a proof is needed.
    let counted = new_id();
    assert_eq!(cast(&mut server.connect(), ATTACKER, &counted, "").status, server.taken());
    burst(&server, |_| ATTACKER.to_owned());
    eventually("it asks again", || server.app.anomalies.is_over(poll).then_some(()));
    let voters = server.stored_voters();
    let refused = cast(&mut server.connect(), ATTACKER, &counted, "");
    let proof = solve(refused.json()["challenge"].as_str().unwrap());
    assert_eq!(cast_with(&server, ATTACKER, &counted, &proof).status, server.taken());
    assert_eq!(server.stored_voters(), voters);
}

#[test]
fn valid_proof_is_always_accepted_while_an_attack_goes_on() {
    let server = attacked();
    for _ in 0..4 {
        burst(&server, |_| ATTACKER.to_owned());
        let (id, address) = (new_id(), format!("198.51.100.{}", rand::random::<u8>()));
        let refused = cast(&mut server.connect(), &address, &id, "");
        let proof = solve(refused.json()["challenge"].as_str().unwrap());
        assert_eq!(cast_with(&server, &address, &id, &proof).status, server.taken());
    }
    let report = report_of(&server, 4 * u64::from(BURST));
    assert_eq!(report.score, 100, "{report:?}");
    assert!(report.reasons.iter().any(|(reason, _)| *reason == Reason::BadProofs), "{report:?}");
}

#[test]
fn every_way_to_vote_asks_for_the_proof() {
    let server = attacked();
    let submit = |headers: &[(&str, &str)]| {
        let headers = [&[("x-forwarded-for", ATTACKER)], headers].concat();
        server.connect().request("POST", "/api/submit", &headers, b"[1]")
    };
    let simple = submit(&[]);
    simple.assert_problem(428, "proof_required");
    assert!(simple.json().get("challenge").is_none(), "a challenge is for a ballot with an id: {simple:?}");
    let id = new_id();
    let refused = submit(&[("idempotency-key", &id)]);
    let proof = solve(refused.json()["challenge"].as_str().unwrap());
    assert_eq!(submit(&[("idempotency-key", &id), ("throng-proof", &proof)]).status, 200);
    let id = new_id();
    let send = |more: &str| {
        let headers = [("content-type", FORM), ("x-forwarded-for", ATTACKER)];
        let form = format!("choice=2&ballot_id={id}{more}");
        server.connect().request("POST", "/polls/demo", &headers, form.as_bytes())
    };
    let page = send("");
    assert_eq!(page.status, 428);
    assert!(page.text().contains("turn on JavaScript") && page.text().contains(&id), "{}", page.text());
    assert!(send("&retry=1").text().contains("Your first attempt may have been counted"));
    let proof = solve(given(&server, &id)["challenge"].as_str().unwrap());
    assert_eq!(send(&format!("&proof={proof}")).status, 303);
}

/// Otherwise an attack by the fast path would end the demand for proofs that it caused.
#[test]
fn refused_vote_without_an_id_is_scored() {
    let server = attacked();
    let votes = server.app.anomalies.report(demo_id(&server)).votes;
    let mut connection = server.connect();
    for _ in 0..100 {
        let refused = connection.request("POST", "/api/submit", &[("x-forwarded-for", ATTACKER)], b"[1]");
        refused.assert_problem(428, "proof_required");
    }
    report_of(&server, votes + 100);
}

#[test]
fn closed_poll_responds_to_a_counted_ballot_without_a_proof() {
    let server = attacked();
    let poll = demo_id(&server);
    server.clock.set(NOW.plus_ms(120_000));
    eventually("it asks no more", || (!server.app.anomalies.is_over(poll)).then_some(()));
    let id = new_id();
    assert_eq!(cast(&mut server.connect(), ATTACKER, &id, "").status, server.taken());
    burst(&server, |_| ATTACKER.to_owned());
    eventually("it asks again", || server.app.anomalies.is_over(poll).then_some(()));
    server.set_window("demo", Some(NOW), Some(NOW.plus_ms(120_000)));
    let again = cast(&mut server.connect(), ATTACKER, &id, "");
    assert_eq!(again.status, if server.is_behind_a_broker() { 410 } else { 201 }, "{again:?}");
    cast(&mut server.connect(), ATTACKER, &new_id(), "").assert_problem(410, "poll_closed");
}

/// A trusted proxy that names no client stands for all whose addresses it doesn't tell.
#[test]
fn votes_of_unknown_networks_are_of_no_network() {
    let server = server();
    burst(&server, |_| "unknown".to_owned());
    assert_eq!(report_of(&server, BURST.into()).score, 0);
}

#[test]
fn device_that_votes_without_end_is_shown_and_not_blocked() {
    let server = TestServer::start_with(&[&BEHIND_PROXY[..], &[("APP_SECRET", &"x".repeat(32))]].concat());
    server.create_poll(NewPoll { policy: Policy::Device, ..demo() });
    let mut connection = server.connect();
    let token = cast(&mut connection, ATTACKER, &new_id(), "").json()["voter"].as_str().unwrap().to_owned();
    for vote in 0..700_u32 {
        let address = format!("192.0.{}.{}", vote / 100, vote % 100);
        let status = cast(&mut connection, &address, &new_id(), &format!(r#","voter":"{token}""#)).status;
        assert_eq!(status, if server.is_behind_a_broker() { 202 } else { 409 });
    }
    let report = report_of(&server, 701);
    let named = |reason| report.reasons.iter().any(|(named, _)| *named == reason);
    assert!(named(Reason::OneDevice), "{report:?}");
    // Behind a broker, only workers know of duplicates.
    assert_eq!(named(Reason::Duplicates), !server.is_behind_a_broker(), "{report:?}");
    assert_eq!(cast(&mut connection, "198.51.100.1", &new_id(), "").status, server.taken());
}

#[test]
fn poll_without_policy_or_adaptive_proof_is_not_scored() {
    let server = TestServer::start_with(&[&BEHIND_PROXY[..], &[("APP_SECRET", &"x".repeat(32))]].concat());
    server.create_poll(demo());
    server.create_poll(NewPoll { proof: Proof::Adaptive, ..NewPoll::demo("other".parse().unwrap(), NOW) });
    burst(&server, |_| ATTACKER.to_owned());
    // Once a later vote in another poll is scored, those are known to be looked at.
    let other = server.app.polls.current().by_slug("other").unwrap().poll.id;
    let vote = format!(r#"{{"ballot_id":"{}","choices":[1]}}"#, new_id());
    assert_eq!(server.post("/api/v1/polls/other/ballots", vote.as_bytes()).status, server.taken());
    eventually("it is scored", || (server.app.anomalies.report(other).votes == 1).then_some(()));
    assert_eq!(server.app.anomalies.report(demo_id(&server)), AnomalyReport::default());
}
