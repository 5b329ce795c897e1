//! Receipts, and what they are for: what became of a ballot, and withdrawing it; and votes that replace earlier ones.

use throng_domain::new_poll::NewPoll;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::Proof;
use throng_testkit::{Answer, NOW, TestServer, eventually};
use uuid::Uuid;

const JSON: (&str, &str) = ("content-type", "application/json");

fn create(server: &TestServer, policy: Policy, changeable: bool) {
    server.create_poll(NewPoll { policy, changeable, ..NewPoll::demo("song".parse().unwrap(), NOW) });
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

/// Casts a ballot, which must be taken; `voter` is the token of an earlier response.
#[track_caller]
fn cast(server: &TestServer, id: &str, choice: u16, voter: Option<&str>) -> Answer {
    let voter = voter.map_or_else(String::new, |voter| format!(r#","voter":"{voter}""#));
    let body = format!(r#"{{"ballot_id":"{id}","choices":[{choice}]{voter}}}"#);
    let answer = server.connect().request("POST", "/api/v1/polls/song/ballots", &[JSON], body.as_bytes());
    assert_eq!(answer.status, server.taken(), "{answer:?}");
    answer
}

fn text(answer: &Answer, field: &str) -> String {
    answer.json()[field].as_str().unwrap().to_owned()
}

fn ask(server: &TestServer, method: &str, id: &str, receipt: &str) -> Answer {
    server.connect().request(method, &format!("/api/v1/ballots/{id}"), &[("throng-receipt", receipt)], b"")
}

/// What became of a ballot, once everything accepted is recorded.
#[track_caller]
fn standing(server: &TestServer, id: &str, receipt: &str) -> String {
    server.settle();
    let answer = ask(server, "GET", id, receipt);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
    assert_eq!((text(&answer, "ballot_id"), text(&answer, "poll")), (id.to_owned(), "song".to_owned()));
    text(&answer, "status")
}

fn counts(server: &TestServer) -> Vec<u64> {
    server.settle();
    let results = server.get("/api/v1/polls/song/results").json();
    let options = results["options"].as_array().unwrap().iter();
    options.take(3).map(|option| option["count"].as_u64().unwrap()).collect()
}

#[test]
fn later_vote_of_a_voter_replaces_the_earlier_one() {
    let server = TestServer::start();
    create(&server, Policy::Device, true);
    let (first_id, next_id) = (new_id(), new_id());
    let first = cast(&server, &first_id, 1, None);
    let voter = text(&first, "voter");
    cast(&server, &new_id(), 1, None);
    server.clock.set(NOW.plus_ms(1));
    let next = cast(&server, &next_id, 2, Some(&voter));
    assert_eq!(counts(&server), [1, 1, 0]);
    assert_eq!(standing(&server, &first_id, &text(&first, "receipt")), "replaced");
    assert_eq!(standing(&server, &next_id, &text(&next, "receipt")), "counted");
    // Sent again, the first one changes nothing.
    let again = cast(&server, &first_id, 1, Some(&voter));
    assert_eq!(text(&again, "status"), if server.is_behind_a_broker() { "accepted" } else { "replaced" });
    assert_eq!(counts(&server), [1, 1, 0]);
    let poll = server.get("/api/v1/polls/song").json();
    assert_eq!(poll["changeable"].as_bool(), Some(true));
}

#[test]
fn withdrawn_vote_does_not_count_until_the_voter_votes_again() {
    let server = TestServer::start();
    create(&server, Policy::Device, true);
    let id = new_id();
    let first = cast(&server, &id, 1, None);
    let receipt = text(&first, "receipt");
    server.settle();
    let withdrawn = if server.is_behind_a_broker() { (202, "accepted") } else { (200, "withdrawn") };
    let answer = ask(&server, "DELETE", &id, &receipt);
    assert_eq!((answer.status, &*text(&answer, "status")), withdrawn, "{answer:?}");
    assert_eq!((counts(&server), standing(&server, &id, &receipt)), (vec![0, 0, 0], "withdrawn".to_owned()));
    let again = ask(&server, "DELETE", &id, &receipt);
    assert_eq!((again.status, &*text(&again, "status")), (200, "withdrawn"), "{again:?}");
    server.clock.set(NOW.plus_ms(2));
    let next = cast(&server, &new_id(), 3, Some(&text(&first, "voter")));
    assert_eq!(counts(&server), [0, 0, 1]);
    // The withdrawn one is not the one that counts now.
    assert_eq!(standing(&server, &id, &receipt), "replaced");
    ask(&server, "DELETE", &id, &receipt).assert_problem(409, "nothing_to_withdraw");
    ask(&server, "DELETE", &id, &text(&next, "receipt")).assert_problem(403, "receipt_invalid");
    assert_eq!(counts(&server), [0, 0, 1]);
}

/// While the voter's next ballot waits to be recorded, the store knows of the withdrawn one only.
#[test]
fn withdrawal_leaves_a_vote_that_is_not_recorded_yet() {
    let (server, store) = TestServer::start_gated(100);
    create(&server, Policy::Device, true);
    let id = new_id();
    let first = cast(&server, &id, 1, None);
    let (voter, receipt) = (text(&first, "voter"), text(&first, "receipt"));
    let is_waiting = |ballots: u64| (server.metric("throng_ballots_waiting ") == ballots).then_some(());
    store.shut();
    std::thread::scope(|scope| {
        server.clock.set(NOW.plus_ms(5));
        let next = scope.spawn(|| cast(&server, &new_id(), 2, Some(&voter)));
        eventually("the next one waits", || is_waiting(1));
        server.clock.set(NOW.plus_ms(10));
        let withdrawn = scope.spawn(|| ask(&server, "DELETE", &id, &receipt));
        eventually("the withdrawal waits", || is_waiting(2));
        store.open();
        assert_eq!((next.join().unwrap().status, withdrawn.join().unwrap().status), (201, 200));
    });
    assert_eq!(counts(&server), [0, 1, 0]);
    assert_eq!(standing(&server, &id, &receipt), "replaced");
}

#[test]
fn surplus_vote_is_a_duplicate_and_stands_nowhere() {
    let server = TestServer::start();
    create(&server, Policy::Device, false);
    let (id, surplus_id) = (new_id(), new_id());
    let first = cast(&server, &id, 1, None);
    let receipt = text(&first, "receipt");
    assert_eq!(standing(&server, &id, &receipt), "counted");
    ask(&server, "DELETE", &id, &receipt).assert_problem(409, "not_changeable");
    if server.is_behind_a_broker() {
        let surplus = cast(&server, &surplus_id, 2, Some(&text(&first, "voter")));
        assert_eq!(standing(&server, &surplus_id, &text(&surplus, "receipt")), "duplicate");
    }
    assert_eq!(counts(&server), [1, 0, 0]);
}

#[test]
fn ballot_of_everybody_has_a_receipt_too() {
    let server = TestServer::start();
    create(&server, Policy::Unlimited, false);
    let id = new_id();
    let receipt = text(&cast(&server, &id, 1, None), "receipt");
    assert_eq!(standing(&server, &id, &receipt), "counted");
    let answer = server.connect().request("POST", "/api/submit", &[("idempotency-key", &new_id())], b"[1,3]");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("throng-receipt").is_some(), "{answer:?}");
}

#[test]
fn receipt_is_for_one_ballot() {
    let server = TestServer::start();
    create(&server, Policy::Device, true);
    let (id, other_id) = (new_id(), new_id());
    let receipt = text(&cast(&server, &id, 1, None), "receipt");
    cast(&server, &other_id, 2, None);
    for method in ["GET", "DELETE"] {
        ask(&server, method, &other_id, &receipt).assert_problem(403, "receipt_invalid");
        ask(&server, method, "x", &receipt).assert_problem(403, "receipt_invalid");
        ask(&server, method, "%ff", &receipt).assert_problem(403, "receipt_invalid");
        ask(&server, method, &id, "").assert_problem(403, "receipt_invalid");
        let flipped = if receipt.ends_with('0') { "1" } else { "0" };
        let flipped = format!("{}{flipped}", &receipt[..receipt.len() - 1]);
        ask(&server, method, &id, &flipped).assert_problem(403, "receipt_invalid");
        let without = server.connect().request(method, &format!("/api/v1/ballots/{id}"), &[], b"");
        without.assert_problem(403, "receipt_invalid");
    }
    assert_eq!(counts(&server), [1, 1, 0]);
}

#[test]
fn nothing_is_withdrawn_after_the_close() {
    let server = TestServer::start();
    create(&server, Policy::Device, true);
    let id = new_id();
    let receipt = text(&cast(&server, &id, 1, None), "receipt");
    server.settle();
    server.set_window("song", Some(NOW), Some(NOW.plus_ms(1)));
    server.clock.set(NOW.plus_ms(10));
    ask(&server, "DELETE", &id, &receipt).assert_problem(410, "poll_closed");
    assert_eq!(standing(&server, &id, &receipt), "counted");
}

#[test]
fn poll_without_voters_or_with_a_quota_is_not_changeable() {
    let demo = || NewPoll::demo("song".parse().unwrap(), NOW);
    let quota = Quota { ballots: 2, per_option: None };
    let wrong =
        [NewPoll { changeable: true, ..demo() }, NewPoll { changeable: true, policy: Policy::Device, quota, ..demo() }];
    for new in wrong {
        assert!(new.faults().iter().any(|fault| fault.contains("let voters change it")), "{:?}", new.faults());
    }
    let network = NewPoll { changeable: true, policy: Policy::Network, ..demo() };
    assert!(network.faults().iter().any(|fault| fault.contains("each other's ballots")), "{:?}", network.faults());
    let right = NewPoll { changeable: true, policy: Policy::Device, proof: Proof::Always, ..demo() };
    assert_eq!(right.faults(), Vec::<String>::new());
}

#[test]
fn pages_of_other_sites_may_withdraw() {
    let server = TestServer::start();
    let asks = [("origin", "https://news.example"), ("access-control-request-method", "DELETE")];
    let preflight = server.connect().request("OPTIONS", &format!("/api/v1/ballots/{}", new_id()), &asks, b"");
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("throng-receipt"), "{preflight:?}");
}
