//! Polls with invitation codes, by every way to vote.

use serde_json::json;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::Proof;
use throng_domain::store::StoreError;
use throng_testkit::{Answer, NOW, TestServer, codes, solve};
use uuid::Uuid;

const JSON: (&str, &str) = ("content-type", "application/json");

fn poll(slug: &str) -> NewPoll {
    NewPoll { policy: Policy::Code, ..NewPoll::demo(slug.parse().unwrap(), NOW) }
}

/// A server with the poll `board`, and so many codes for it.
fn server(count: usize) -> (TestServer, Vec<String>) {
    let server = TestServer::start();
    server.create_poll(poll("board"));
    let (codes, _) = codes::create(&server, "board", count);
    (server, codes)
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

/// Casts a ballot with this code in version 1.
fn cast(server: &TestServer, id: &str, choice: u16, code: &str) -> Answer {
    let body = json!({"ballot_id": id, "choices": [choice], "voter": code}).to_string();
    server.post("/api/v1/polls/board/ballots", body.as_bytes())
}

fn voters(server: &TestServer, slug: &str) -> u64 {
    server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].as_u64().unwrap()
}

/// S1: however many ballots with one code arrive at once, one is counted.
#[test]
fn ballots_with_one_code_at_once_count_once() {
    const SENDERS: usize = 50;
    let (server, codes) = server(3);
    let send = || {
        let mut connection = server.connect();
        let mut one = |_| {
            let body = json!({"ballot_id": new_id(), "choices": [2], "voter": codes[1]}).to_string();
            connection.request("POST", "/api/v1/polls/board/ballots", &[JSON], body.as_bytes()).status
        };
        (0..10).map(&mut one).collect::<Vec<_>>()
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    if server.is_behind_a_broker() {
        assert_eq!(count(202), 10 * SENDERS);
    } else {
        assert_eq!((count(201), count(409)), (1, 10 * SENDERS - 1), "{statuses:?}");
    }
    assert_eq!(voters(&server, "board"), 1);
}

#[test]
fn every_code_is_a_voter_of_its_own() {
    let (server, codes) = server(30);
    std::thread::scope(|scope| {
        for code in &codes {
            let server = &server;
            scope.spawn(move || {
                let typed = code.to_lowercase().replace('-', " ");
                let answer = cast(server, &new_id(), 1, &typed);
                assert_eq!((answer.status, &answer.json()["voter"]), (server.taken(), &json!(null)), "{answer:?}");
                assert_eq!(answer.header("set-cookie"), None);
            });
        }
    });
    assert_eq!(voters(&server, "board"), 30);
}

#[test]
fn used_code_gets_its_voters_choices() {
    let (server, codes) = server(1);
    assert_eq!(cast(&server, &new_id(), 3, &codes[0]).status, server.taken());
    let second = cast(&server, &new_id(), 1, &codes[0]);
    if server.is_behind_a_broker() {
        assert_eq!(second.status, 202);
    } else {
        second.assert_problem(409, "already_voted");
        assert_eq!(second.json()["choices"], json!([3]));
    }
    assert_eq!(voters(&server, "board"), 1);
}

#[test]
fn ballot_sent_again_gets_the_same_response() {
    let (server, codes) = server(1);
    let id = new_id();
    for typed in [codes[0].clone(), codes[0].to_lowercase(), codes[0].replace('-', "")] {
        let answer = cast(&server, &id, 2, &typed);
        assert_eq!((answer.status, answer.json()["ballot_id"].as_str()), (server.taken(), Some(id.as_str())));
    }
    assert_eq!(voters(&server, "board"), 1);
}

#[test]
fn missing_code_is_required() {
    let (server, _) = server(1);
    for body in [
        json!({"ballot_id": new_id(), "choices": [1]}),
        json!({"ballot_id": new_id(), "choices": [1], "voter": null}),
        json!({"ballot_id": new_id(), "choices": [1], "voter": " "}),
    ] {
        let answer = server.post("/api/v1/polls/board/ballots", body.to_string().as_bytes());
        answer.assert_problem(403, "code_required");
    }
    assert_eq!(voters(&server, "board"), 0);
}

/// S4: a code that was made up, mistyped, or is another poll's.
#[test]
fn code_that_was_not_made_for_the_poll_is_invalid() {
    let (server, codes) = server(1);
    server.create_poll(poll("other"));
    let (others, _) = codes::create(&server, "other", 1);
    let last = if codes[0].ends_with('7') { '8' } else { '7' };
    let mistyped = format!("{}{last}", &codes[0][..18]);
    for code in [
        &others[0],
        &mistyped,
        "0000-0000-0000-0000",
        &codes[0][1..],
        "x",
        "\u{e9}",
        &"A".repeat(5_000),
        &"0".repeat(64),
    ] {
        cast(&server, &new_id(), 1, code).assert_problem(403, "code_invalid");
    }
    assert_eq!((voters(&server, "board"), voters(&server, "other")), (0, 0));
    assert_eq!(cast(&server, &new_id(), 1, &codes[0]).status, server.taken());
}

#[test]
fn codes_of_a_revoked_batch_count_no_longer() {
    let (server, codes) = server(2);
    let (later, batch) = codes::create(&server, "board", 2);
    assert_eq!(cast(&server, &new_id(), 1, &later[0]).status, server.taken());
    codes::revoke(&server, "board", batch);
    cast(&server, &new_id(), 1, &later[1]).assert_problem(403, "code_invalid");
    assert_eq!(cast(&server, &new_id(), 1, &codes[0]).status, server.taken());
    assert_eq!(voters(&server, "board"), 2, "a ballot that was cast stays");
}

#[test]
fn cheap_refusals_come_first() {
    let (server, codes) = server(1);
    cast(&server, &new_id(), 99, "x").assert_problem(422, "invalid_choice");
    let without_id = json!({"choices": [1], "voter": "x"}).to_string();
    server.post("/api/v1/polls/board/ballots", without_id.as_bytes()).assert_problem(422, "not_a_ballot");
    server.create_poll(NewPoll { opens_at: Some(NOW.plus_ms(1_000)), ..poll("later") });
    let body = json!({"ballot_id": new_id(), "choices": [1], "voter": codes[0]}).to_string();
    server.post("/api/v1/polls/later/ballots", body.as_bytes()).assert_problem(409, "poll_not_open");
}

#[test]
fn compatibility_route_reads_the_code_from_a_header() {
    let server = TestServer::start_with(&[("APP_ENV", "prod"), ("APP_SECRET", "0123456789abcdef0123456789abcdef")]);
    server.create_poll(NewPoll { quota: Quota { ballots: 2, per_option: None }, ..poll("demo") });
    let (codes, _) = codes::create(&server, "demo", 1);
    let submit = |headers: &[(&str, &str)]| server.connect().request("POST", "/api/submit", headers, b"[1]");
    submit(&[]).assert_problem(403, "code_required");
    submit(&[("throng-voter", "")]).assert_problem(403, "code_required");
    submit(&[("throng-voter", "0000-0000-0000-0000")]).assert_problem(403, "code_invalid");
    // As a simple request, and, with a header that such a request doesn't have, through the HTTP library.
    let id = new_id();
    for headers in
        [&[("throng-voter", codes[0].as_str())][..], &[("throng-voter", &codes[0]), ("idempotency-key", &id)]]
    {
        assert_eq!(submit(headers).status, 200);
    }
    let third = submit(&[("throng-voter", &codes[0])]);
    assert_eq!(third.status, if server.is_behind_a_broker() { 200 } else { 409 });
    assert_eq!(server.voters(), 2);
}

#[test]
fn challenge_is_for_the_voter_with_the_code() {
    let server = TestServer::start();
    server.create_poll(NewPoll { proof: Proof::Always, ..poll("board") });
    let (codes, _) = codes::create(&server, "board", 2);
    let id = new_id();
    let path = format!("/api/v1/polls/board/challenge?ballot_id={id}");
    server.get(&path).assert_problem(403, "code_required");
    let given = server.connect().request("GET", &path, &[("throng-voter", &codes[0])], b"");
    let proof = solve(given.json()["challenge"].as_str().unwrap());
    let send = |code: &str| {
        let body = json!({"ballot_id": id, "choices": [1], "voter": code, "proof": proof}).to_string();
        server.post("/api/v1/polls/board/ballots", body.as_bytes())
    };
    send(&codes[1]).assert_problem(428, "proof_invalid");
    assert_eq!(send(&codes[0]).status, server.taken());
}

#[test]
fn code_that_can_not_be_checked_is_refused_until_it_can() {
    let (server, store) = TestServer::start_gated(1_000);
    server.create_poll(poll("board"));
    let (codes, _) = codes::create(&server, "board", 1);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let refused = cast(&server, &new_id(), 1, &codes[0]);
    refused.assert_problem(503, "store_unavailable");
    assert_eq!((refused.header("retry-after"), store.refused()), (Some("1"), 0), "no batch was recorded");
    store.fail_with(None);
    assert_eq!(cast(&server, &new_id(), 1, &codes[0]).status, 201);
}
