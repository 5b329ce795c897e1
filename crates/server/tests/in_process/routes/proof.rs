//! Polls that require a proof of work.

use serde_json::json;
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::Proof;
use throng_testkit::{Answer, NOW, TestServer, solve};

const CLOSES_AT_MS: i64 = 3_600_000;

fn poll(slug: &str) -> NewPoll {
    let demo = NewPoll::demo(slug.parse().unwrap(), NOW);
    NewPoll { proof: Proof::Always, closes_at: Some(NOW.plus_ms(CLOSES_AT_MS)), ..demo }
}

/// A server with the poll `proven`, which requires proofs, and the demo poll, which doesn't.
fn server() -> TestServer {
    let server = TestServer::start();
    server.create_poll(poll("proven"));
    server
}

fn id(number: u64) -> String {
    format!("018f4d1e-7c00-7000-8000-{number:012x}")
}

fn challenge(server: &TestServer, slug: &str, number: u64) -> Answer {
    server.get(&format!("/api/v1/polls/{slug}/challenge?ballot_id={}", id(number)))
}

/// A proof for the poll's ballot of this number.
fn proof(server: &TestServer, slug: &str, number: u64) -> String {
    solve(challenge(server, slug, number).json()["challenge"].as_str().unwrap())
}

fn cast(server: &TestServer, slug: &str, number: u64, proof: &str) -> Answer {
    let body = json!({"ballot_id": id(number), "choices": [1], "proof": proof});
    server.post(&format!("/api/v1/polls/{slug}/ballots"), body.to_string().as_bytes())
}

fn voters(server: &TestServer, slug: &str) -> u64 {
    server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].as_u64().unwrap()
}

#[test]
fn ballot_with_its_proof_is_counted() {
    let server = server();
    assert_eq!(server.get("/api/v1/polls/proven").json()["proof"], "always");
    let given = challenge(&server, "proven", 1);
    assert_eq!((given.status, given.header("cache-control")), (200, Some("no-store")));
    assert_eq!(given.header("access-control-allow-origin"), Some("*"));
    assert!(given.json()["difficulty"].as_u64() > Some(1), "{given:?}");
    assert_eq!(given.json()["expires_at"], "2100-01-01T00:05:00.000Z");
    let answer = cast(&server, "proven", 1, &solve(given.json()["challenge"].as_str().unwrap()));
    assert_eq!(answer.status, server.taken(), "{answer:?}");
    assert_eq!(voters(&server, "proven"), 1);
}

#[test]
fn ballot_without_a_proof_is_refused() {
    let server = server();
    let cast = |body: String| server.post("/api/v1/polls/proven/ballots", body.as_bytes());
    let id = id(1);
    for body in [
        format!(r#"{{"ballot_id":"{id}","choices":[1]}}"#),
        format!(r#"{{"ballot_id":"{id}","choices":[1],"proof":null}}"#),
        r#"{"choices":[1]}"#.to_owned(),
    ] {
        cast(body).assert_problem(428, "proof_required");
    }
    cast(format!(r#"{{"ballot_id":"{id}","choices":[1],"proof":7}}"#)).assert_problem(422, "not_a_ballot");
    cast(format!(r#"{{"ballot_id":"{id}","choices":[9]}}"#)).assert_problem(422, "invalid_choice");
    server.clock.set(NOW.plus_ms(CLOSES_AT_MS));
    cast(format!(r#"{{"ballot_id":"{id}","choices":[1]}}"#)).assert_problem(410, "poll_closed");
    assert_eq!(voters(&server, "proven"), 0);
}

#[test]
fn refusal_has_the_challenge_to_solve() {
    let server = server();
    let send = |proof: &str| {
        let body = format!(r#"{{"ballot_id":"{}","choices":[1]{proof}}}"#, id(1));
        server.post("/api/v1/polls/proven/ballots", body.as_bytes())
    };
    for proof in ["", r#","proof":"1.2.3""#] {
        let refused = send(proof);
        assert_eq!(refused.status, 428, "{refused:?}");
        let solved = solve(refused.json()["challenge"].as_str().unwrap());
        assert_eq!(send(&format!(r#","proof":"{solved}""#)).status, server.taken());
    }
    let without_id = server.post("/api/v1/polls/proven/ballots", br#"{"choices":[1]}"#);
    assert_eq!((without_id.status, without_id.json().get("challenge")), (428, None));
    assert_eq!(voters(&server, "proven"), 1);
}

#[test]
fn proof_of_another_ballot_or_poll_is_refused() {
    let server = server();
    server.create_poll(poll("other"));
    let own = proof(&server, "proven", 1);
    cast(&server, "proven", 2, &own).assert_problem(428, "proof_invalid");
    cast(&server, "other", 1, &own).assert_problem(428, "proof_invalid");
    assert_eq!((voters(&server, "proven"), voters(&server, "other")), (0, 0));
    assert_eq!(cast(&server, "proven", 1, &own).status, server.taken());
}

#[test]
fn forged_or_unsolved_challenge_is_refused() {
    let server = server();
    let given = challenge(&server, "proven", 1).json()["challenge"].as_str().unwrap().to_owned();
    let fields: Vec<_> = given.split('.').collect();
    let [version, expires, difficulty, mac] = fields[..] else { panic!("{given}") };
    for forged in [
        solve(&format!("{version}.{expires}.1.{mac}")),
        solve(&format!("{version}.{expires}.1.{:032x}", 0)),
        format!("{given}{}", ".0".repeat(16)),
        format!("{version}.{expires}.{difficulty}.{mac}"),
        "\u{e9}".repeat(9_000),
        String::new(),
    ] {
        let answer = cast(&server, "proven", 1, &forged);
        if forged.len() > 16_384 {
            answer.assert_problem(413, "too_large");
        } else {
            answer.assert_problem(428, "proof_invalid");
        }
    }
    assert_eq!(voters(&server, "proven"), 0);
}

#[test]
fn expired_proof_is_refused_and_a_new_one_counts() {
    let server = server();
    let expired = proof(&server, "proven", 1);
    server.clock.set(NOW.plus_ms(300_000));
    cast(&server, "proven", 1, &expired).assert_problem(428, "proof_invalid");
    let renewed = proof(&server, "proven", 1);
    server.clock.set(NOW.plus_ms(599_999));
    assert_eq!(cast(&server, "proven", 1, &renewed).status, server.taken());
    assert_eq!(voters(&server, "proven"), 1);
}

#[test]
fn proof_counts_one_ballot_whoever_sends_it() {
    let server = server();
    let shared = proof(&server, "proven", 1);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| cast(&server, "proven", 1, &shared).status)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(statuses, [server.taken(); 8]);
    assert_eq!(cast(&server, "proven", 1, &shared).status, server.taken(), "replayed");
    let other = json!({"ballot_id": id(1), "choices": [2], "proof": shared}).to_string();
    let other = server.post("/api/v1/polls/proven/ballots", other.as_bytes());
    assert_eq!(other.status, if server.is_behind_a_broker() { 202 } else { 422 }, "other choices");
    assert_eq!(voters(&server, "proven"), 1);
}

#[test]
fn ballot_sent_again_after_the_close_needs_no_new_proof() {
    let server = server();
    let counted = proof(&server, "proven", 1);
    assert_eq!(cast(&server, "proven", 1, &counted).status, server.taken());
    assert_eq!(voters(&server, "proven"), 1);
    server.clock.set(NOW.plus_ms(CLOSES_AT_MS));
    // Behind a broker nobody can know that it came in time the first time.
    assert_eq!(cast(&server, "proven", 1, &counted).status, if server.is_behind_a_broker() { 410 } else { 201 });
    cast(&server, "proven", 2, "").assert_problem(410, "poll_closed");
    cast(&server, "proven", 1, "").assert_problem(410, "poll_closed");
    assert_eq!(voters(&server, "proven"), 1);
}

#[test]
fn poll_without_proofs_gives_no_challenge_and_ignores_a_proof() {
    let server = TestServer::start();
    let given = challenge(&server, "demo", 1);
    assert_eq!((given.status, given.header("cache-control")), (200, Some("no-store")));
    assert_eq!(given.json(), json!({"challenge": null, "difficulty": null, "expires_at": null}));
    assert_eq!(cast(&server, "demo", 1, "nonsense").status, server.taken());
    let headers = [("throng-proof", "nonsense")];
    assert_eq!(server.connect().request("POST", "/api/submit", &headers, b"[1]").status, 200);
    assert_eq!(server.voters(), 2);
}

#[test]
fn challenge_is_for_a_ballot_of_a_poll() {
    let server = server();
    for query in ["", "?ballot_id=", "?ballot_id=x", &format!("?ballot_id={}&ballot_id={}", id(1), id(2))] {
        server.get(&format!("/api/v1/polls/proven/challenge{query}")).assert_problem(422, "not_a_ballot");
    }
    challenge(&server, "nowhere", 1).assert_problem(404, "poll_not_found");
    server.post("/api/v1/polls/proven/challenge", b"").assert_problem(405, "method_not_allowed");
}

#[test]
fn compatibility_route_reads_the_proof_from_a_header() {
    // Without a demo poll, there is room for this one in its place.
    let server = TestServer::start_with(&[("APP_ENV", "prod"), ("APP_SECRET", "0123456789abcdef0123456789abcdef")]);
    server.create_poll(poll("demo"));
    let id = id(1);
    let valid = proof(&server, "demo", 1);
    let submit = |headers: &[(&str, &str)]| server.connect().request("POST", "/api/submit", headers, b"[1]");
    for headers in [&[][..], &[("idempotency-key", id.as_str())]] {
        submit(headers).assert_problem(428, "proof_required");
    }
    // Without the id that it is for, it is no ballot's proof.
    submit(&[("throng-proof", &valid)]).assert_problem(428, "proof_required");
    for proof in ["", "nonsense", "\u{e9}"] {
        submit(&[("idempotency-key", &id), ("throng-proof", proof)]).assert_problem(428, "proof_invalid");
    }
    assert_eq!(server.voters(), 0);
    for _ in 0..2 {
        assert_eq!(submit(&[("idempotency-key", &id), ("throng-proof", &valid)]).status, 200);
    }
    assert_eq!(server.voters(), 1);
}

#[test]
fn pages_of_other_sites_may_send_the_header() {
    let server = TestServer::start();
    let asks = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
    let preflight = server.connect().request("OPTIONS", "/api/submit", &asks, b"");
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.split(", ").any(|header| header == "throng-proof"), "{allowed}");
}

/// Voters may use the same ballot id, so that one of them could solve a challenge for all.
#[test]
fn proof_counts_for_one_voter_only() {
    let server = TestServer::start();
    let quota = Quota { ballots: 2, per_option: None };
    server.create_poll(NewPoll { policy: Policy::Device, quota, ..poll("device") });
    let given = cast(&server, "device", 1, &proof(&server, "device", 1));
    assert_eq!(given.status, server.taken(), "{given:?}");
    let token = given.json()["voter"].as_str().unwrap().to_owned();
    let mut connection = server.connect();
    let mut send = |proof: &str| {
        let body = json!({"ballot_id": id(2), "choices": [1], "proof": proof, "voter": token}).to_string();
        let headers = [("content-type", "application/json")];
        connection.request("POST", "/api/v1/polls/device/ballots", &headers, body.as_bytes())
    };
    let of_another = send(&proof(&server, "device", 2));
    assert_eq!((of_another.status, of_another.json()["code"].as_str()), (428, Some("proof_invalid")));
    let path = format!("/api/v1/polls/device/challenge?ballot_id={}", id(2));
    let own = server.connect().request("GET", &path, &[("throng-voter", &token)], b"");
    let answer = send(&solve(own.json()["challenge"].as_str().unwrap()));
    assert_eq!(answer.status, server.taken(), "{answer:?}");
    assert_eq!(voters(&server, "device"), 2);
}
