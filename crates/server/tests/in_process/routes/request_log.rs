//! What the log says of requests, and by which name their senders find it there.

use serde_json::{Value, json};
use throng_domain::store::StoreError;
use throng_testkit::{NOW, TestServer, log};

const TRUSTING: &[(&str, &str)] = &[("TRUSTED_PROXIES", "127.0.0.1")];

/// A vote as HTTP's library gets it: a length with zeros before it is valid and not plain.
const NOT_PLAIN: &str = "POST /api/submit HTTP/1.1\r\nhost: a\r\ncontent-length: 003\r\n";
const PLAIN: &str = "POST /api/submit HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n";

#[test]
fn a_failure_is_answered_with_its_name_in_the_log() {
    log::keep();
    let (server, store) = TestServer::start_gated(100);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    for head in [PLAIN, NOT_PLAIN] {
        let mut connection = server.connect();
        connection.send(format!("{head}x-request-id: not-yours-to-say\r\n\r\n[1]").as_bytes());
        let answer = connection.answer();
        answer.assert_problem(503, "store_unavailable");
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(!answer.text().contains(id), "the header alone has it");
        let line = log::line(&[("request_id", json!(id)), ("message", json!("a request was refused"))]);
        assert_eq!((&line["level"], &line["status"]), (&json!("WARN"), &json!(503)));
        assert_eq!((&line["path"], &line["code"]), (&json!("/api/submit"), &json!("store_unavailable")));
        assert_eq!(line["client"], Value::Null, "no address unasked");
    }
}

#[test]
fn the_name_that_a_trusted_proxy_gave_is_kept_if_it_is_one() {
    let (server, store) = TestServer::start_gated_with(100, TRUSTING);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let longest = "x".repeat(64);
    for (given, kept) in [
        ("0123-abc", true),
        (&longest, true),
        (&format!("{longest}x"), false),
        ("", false),
        ("two words", false),
        ("\u{e4}", false),
        ("a\u{1}b", false),
    ] {
        for head in [PLAIN, NOT_PLAIN] {
            let mut connection = server.connect();
            connection.send(format!("{head}x-request-id: {given}\r\n\r\n[1]").as_bytes());
            let answer = connection.answer();
            if answer.status == 400 {
                // Such a byte is no part of a header, so there was no name.
                continue;
            }
            assert_eq!(answer.header("x-request-id") == Some(given), kept, "{given:?}: {answer:?}");
            assert!(answer.header("x-request-id").is_some());
        }
    }
}

#[test]
fn what_succeeds_or_is_the_senders_fault_has_no_name() {
    let server = TestServer::start_with(TRUSTING);
    for (path, body) in [("/api/submit", &b"[1]"[..]), ("/api/submit", b"x"), ("/nowhere", b""), ("/livez", b"")] {
        let answer = server.connect().request("POST", path, &[("x-request-id", "abc")], body);
        assert_eq!(answer.header("x-request-id"), None, "{path}");
    }
}

#[test]
fn a_crowd_that_is_refused_does_not_flood_the_log() {
    log::keep();
    // The clock stands still, so it is one second, and a connection stays on its core.
    let (server, store) = TestServer::start_gated_with(100, TRUSTING);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let mut connection = server.connect();
    let mut refuse = |number: usize| {
        let name = format!("crowd-{number}");
        let answer = connection.request("POST", "/api/submit", &[("x-request-id", &name)], b"[1]");
        assert_eq!(answer.header("x-request-id"), Some(&*name), "it has a name even so");
        log::lines(&[("request_id", json!(name)), ("message", json!("a request was refused"))])
    };
    let logged: usize = (0..30).map(|number| refuse(number).len()).sum();
    assert_eq!(logged, 10);
    server.clock.set(NOW.plus_ms(1_000));
    assert_eq!(refuse(30)[0]["unlogged"], 20);
}
