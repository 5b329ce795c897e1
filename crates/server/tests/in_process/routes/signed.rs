//! The policy `signed`, by every way to vote. What makes a token invalid is tested beside `voting/policy/signed.rs`.

use serde_json::{Value, json};
use throng_domain::new_poll::NewPoll;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::Proof;
use throng_testkit::{Answer, NOW, TestServer, TokenSigner, log, solve};
use uuid::Uuid;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const NOW_S: i64 = NOW.0 / 1_000;
const CLOSES_AT_MS: i64 = 3_600_000;

/// A server with the key of this signer.
fn server_of(signer: &TokenSigner, settings: &[(&str, &str)]) -> TestServer {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, signer.jwk())).unwrap();
    TestServer::start_with(&[&[("VOTER_KEYS", path.to_str().unwrap())], settings].concat())
}

fn poll(slug: &str, ballots: u8) -> NewPoll {
    let quota = Quota { ballots, per_option: None };
    let closes_at = Some(NOW.plus_ms(CLOSES_AT_MS));
    NewPoll { policy: Policy::Signed, quota, closes_at, ..NewPoll::demo(slug.parse().unwrap(), NOW) }
}

/// A token for this user in this poll, for ten minutes.
fn token(signer: &TokenSigner, sub: &str, aud: &str) -> String {
    signer.token(&json!({"sub": sub, "aud": aud, "exp": NOW_S + 600}))
}

fn new_id() -> String {
    Uuid::from_u128(rand::random()).to_string()
}

/// Casts a ballot in version 1 of the poll `song`.
fn cast(server: &TestServer, id: &str, choice: u16, token: &str) -> Answer {
    let body = json!({"ballot_id": id, "choices": [choice], "voter": token});
    server.post("/api/v1/polls/song/ballots", body.to_string().as_bytes())
}

fn voters(server: &TestServer, slug: &str) -> u64 {
    server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].as_u64().unwrap()
}

/// S1: however many ballots of one user arrive at once, under new ids and with new tokens, so many are counted as the quota allows.
#[test]
fn ballots_of_one_user_at_once_count_up_to_the_quota() {
    const SENDERS: usize = 50;
    for (signer, ballots) in [(TokenSigner::hs256(), 1), (TokenSigner::es256(), 7)] {
        let server = server_of(&signer, &[]);
        server.create_poll(poll("song", ballots));
        let send = |sender: usize| {
            let mut connection = server.connect();
            let one = |at: usize| {
                let claims = json!({"sub": "ann", "aud": ["song"], "exp": NOW_S + 600, "jti": sender * 100 + at});
                let body = json!({"ballot_id": new_id(), "choices": [2], "voter": signer.token(&claims)}).to_string();
                connection.request("POST", "/api/v1/polls/song/ballots", &[JSON], body.as_bytes()).status
            };
            (0..20).map(one).collect::<Vec<_>>()
        };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|sender| scope.spawn(move || send(sender))).collect();
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
        if server.is_behind_a_broker() {
            assert_eq!(count(202), 1_000);
        } else {
            assert_eq!((count(201), count(409)), (usize::from(ballots), 1_000 - usize::from(ballots)));
        }
        assert_eq!(voters(&server, "song"), u64::from(ballots));
        assert_eq!(cast(&server, &new_id(), 1, &token(&signer, "ben", "song")).status, server.taken());
    }
}

#[test]
fn user_votes_once_by_any_way_and_sees_the_earlier_choices() {
    let signer = TokenSigner::rs256();
    let server = server_of(&signer, &[("APP_ENV", "prod"), ("APP_SECRET", "0123456789abcdef0123456789abcdef")]);
    server.create_poll(poll("demo", 1));
    let send = |way: usize, token: &str| {
        let post = |path: &str, headers: &[(&str, &str)], body: String| {
            server.connect().request("POST", path, headers, body.as_bytes())
        };
        let (v1, id) = ("/api/v1/polls/demo/ballots", new_id());
        match way % 4 {
            0 => post(v1, &[JSON], json!({"ballot_id": id, "choices": [2], "voter": token}).to_string()),
            1 => post(v1, &[JSON, ("throng-voter", token)], json!({"ballot_id": id, "choices": [2]}).to_string()),
            2 => post("/api/submit", &[("throng-voter", token)], "[2]".to_owned()),
            _ => post("/polls/demo", &[FORM], format!("choice=2&ballot_id={id}&voter={token}")),
        }
    };
    for first in 0..4 {
        let token = token(&signer, &format!("user {first}"), "demo");
        for way in 0..4 {
            let answer = send(first + way, &token);
            let is_taken = way == 0 || server.is_behind_a_broker();
            assert_eq!((200..400).contains(&answer.status), is_taken, "{answer:?}");
            assert_eq!(answer.header("set-cookie").filter(|cookie| cookie.contains("throng-")), None, "{answer:?}");
        }
        let again = send(0, &token);
        if !server.is_behind_a_broker() {
            again.assert_problem(409, "already_voted");
            assert_eq!(again.json()["choices"], json!([2]), "the token proves who asks");
        }
        assert_eq!(again.json()["voter"], Value::Null, "no token is given");
        assert_eq!(voters(&server, "demo"), first as u64 + 1);
    }
}

#[test]
fn vote_without_a_valid_token_is_refused() {
    let signer = TokenSigner::hs256();
    let server = server_of(&signer, &[]);
    server.create_poll(poll("song", 1));
    let without = |headers: &[(&str, &str)]| {
        let body = json!({"ballot_id": new_id(), "choices": [1]}).to_string();
        let headers = [&[JSON], headers].concat();
        server.connect().request("POST", "/api/v1/polls/song/ballots", &headers, body.as_bytes())
    };
    without(&[]).assert_problem(403, "voter_token_required");
    // Neither a cookie nor a bearer token is looked at.
    let valid = token(&signer, "ann", "song");
    without(&[("cookie", &format!("throng-song={valid}"))]).assert_problem(403, "voter_token_required");
    without(&[("authorization", &format!("Bearer {valid}"))]).assert_problem(403, "voter_token_required");
    without(&[("throng-voter", "")]).assert_problem(403, "voter_token_invalid");
    let other = TokenSigner::Hs256(vec![1; 32]);
    let claims = |exp: i64| json!({"sub": "ann", "aud": "song", "exp": exp});
    for (token, why) in [
        (token(&signer, "ann", "demo"), "its `aud` isn't this poll's name"),
        (token(&other, "ann", "song"), "its signature doesn't match the key"),
        (signer.token(&claims(NOW_S - 10)), "it has expired"),
        (signer.token_with(&json!({"alg": "none"}), &claims(NOW_S + 60)), "no key in VOTER_KEYS"),
        ("x".repeat(5_000), "more than 4096 bytes"),
        (String::new(), "isn't a JWT"),
    ] {
        let answer = cast(&server, &new_id(), 1, &token);
        answer.assert_problem(403, "voter_token_invalid");
        assert!(answer.json()["detail"].as_str().unwrap().contains(why), "{why}: {answer:?}");
    }
    assert_eq!(voters(&server, "song"), 0);
    assert_eq!(server.metric("throng_ballots_refused_total{reason=\"voter_token_invalid\"}"), 7);
    assert_eq!(cast(&server, &new_id(), 1, &valid).status, server.taken());
}

/// A token is verified after what costs less: a flood without one has no more effect than in other polls.
#[test]
fn cheap_refusals_come_before_the_token() {
    let server = server_of(&TokenSigner::hs256(), &[]);
    server.create_poll(poll("song", 1));
    cast(&server, &new_id(), 99, "x").assert_problem(422, "invalid_choice");
    server.post("/api/v1/polls/song/ballots", br#"{"choices":[1],"voter":"x"}"#).assert_problem(422, "not_a_ballot");
    server.clock.set(NOW.plus_ms(CLOSES_AT_MS));
    cast(&server, &new_id(), 1, "x").assert_problem(410, "poll_closed");
}

/// A lost response may arrive after the close, when the token has expired.
#[test]
fn ballot_sent_again_after_the_close_needs_no_new_token() {
    let signer = TokenSigner::hs256();
    let server = server_of(&signer, &[]);
    server.create_poll(poll("song", 1));
    let (id, token) = (new_id(), token(&signer, "ann", "song"));
    for _ in 0..2 {
        assert_eq!(cast(&server, &id, 1, &token).status, server.taken());
    }
    assert_eq!(voters(&server, "song"), 1);
    server.clock.set(NOW.plus_ms(CLOSES_AT_MS));
    // Behind a broker nobody can know that it came in time the first time.
    assert_eq!(cast(&server, &id, 1, &token).status, if server.is_behind_a_broker() { 410 } else { 201 });
    cast(&server, &new_id(), 1, &token).assert_problem(410, "poll_closed");
    assert_eq!(voters(&server, "song"), 1);
}

#[test]
fn server_without_keys_accepts_nothing_and_logs_why() {
    log::keep();
    let server = TestServer::start();
    server.create_poll(poll("song", 1));
    let answer = cast(&server, &new_id(), 1, &token(&TokenSigner::hs256(), "ann", "song"));
    answer.assert_problem(503, "voter_keys_missing");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let line = log::line(&[("request_id", json!(answer.header("x-request-id").unwrap())), ("level", json!("WARN"))]);
    assert!(line["cause"].as_str().unwrap().contains("VOTER_KEYS isn't set"), "{line}");
    assert_eq!(voters(&server, "song"), 0);
}

#[test]
fn challenge_is_for_the_user() {
    let signer = TokenSigner::hs256();
    let server = server_of(&signer, &[]);
    server.create_poll(NewPoll { proof: Proof::Always, ..poll("song", 1) });
    let (id, ann, ben) = (new_id(), token(&signer, "ann", "song"), token(&signer, "ben", "song"));
    let path = format!("/api/v1/polls/song/challenge?ballot_id={id}");
    server.get(&path).assert_problem(403, "voter_token_required");
    let given = server.connect().request("GET", &path, &[("throng-voter", &ann)], b"");
    let proof = solve(given.json()["challenge"].as_str().unwrap());
    let cast = |token: &str| {
        let body = json!({"ballot_id": id, "choices": [1], "voter": token, "proof": proof}).to_string();
        server.post("/api/v1/polls/song/ballots", body.as_bytes())
    };
    cast(&ben).assert_problem(428, "proof_invalid");
    assert_eq!(cast(&ann).status, server.taken());
}

/// S28: neither a token nor the user's name is logged or stored, whatever becomes of the vote.
#[test]
fn token_and_user_are_not_logged_or_stored() {
    log::keep();
    let signer = TokenSigner::hs256();
    let server = server_of(&signer, &[]);
    server.create_poll(poll("song", 1));
    let user = "private-user-4711";
    let token = token(&signer, user, "song");
    let expired = signer.token(&json!({"sub": user, "aud": "song", "exp": 1}));
    for token in [&token, &expired] {
        server.get(&format!("/polls/song?voter={token}"));
        server.get(&format!("/polls/song/ballot?voter={token}"));
        cast(&server, &new_id(), 1, token);
        server.connect().request("POST", "/api/submit", &[("throng-voter", token)], b"[1]");
        let form = format!("choice=1&ballot_id={}&voter={token}", new_id());
        server.connect().request("POST", "/polls/song", &[FORM], form.as_bytes());
    }
    assert_eq!(voters(&server, "song"), 1);
    let logged = format!("{:?}", log::lines(&[("message", json!("answered"))]));
    assert!(logged.contains("/polls/song"), "requests are logged");
    let all = format!("{:?}", log::lines(&[]));
    for secret in [user, token.as_str(), expired.as_str(), token.rsplit_once('.').unwrap().1] {
        assert!(!all.contains(secret), "{secret}");
    }
    let stored = server.database.with_store(async |store| {
        let poll = store.poll(&"song".parse().unwrap()).await.unwrap().unwrap();
        format!("{poll:?} {:?}", store.ballots(poll.id, None, 10).await.unwrap())
    });
    assert!(!stored.contains(user) && !stored.contains(&token), "{stored}");
}
