//! The two compatibility routes.

use throng_testkit::{NOW, TestServer};

const NONE: &str = r#"{"1":0,"2":0,"3":0,"4":0,"5":0}"#;

#[test]
fn a_vote_is_in_its_own_answer_and_in_every_later_result() {
    let server = TestServer::start();
    assert_eq!(server.vote(b"[1,2]"), r#"{"1":1,"2":1,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.vote(b"[1,2]"), r#"{"1":2,"2":2,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.get("/api/result").text(), r#"{"1":2,"2":2,"3":0,"4":0,"5":0}"#);
}

#[test]
fn both_answer_json_that_nobody_keeps() {
    let server = TestServer::start();
    // No cache keeps the answer to a POST that doesn't say how long (RFC 9110, 9.3.3).
    for (answer, said) in [(server.get("/api/result"), Some("no-store")), (server.post("/api/submit", b"[1]"), None)] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), said);
    }
}

#[test]
fn an_option_may_be_named_as_the_original_took_it() {
    let server = TestServer::start();
    for (body, result) in [
        (&b"[1,1]"[..], r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#),
        (br#"["1"]"#, r#"{"1":2,"2":0,"3":0,"4":0,"5":0}"#),
        (b"[1.0]", r#"{"1":3,"2":0,"3":0,"4":0,"5":0}"#),
        (b" [ 5 , \"1\" ]\n", r#"{"1":4,"2":0,"3":0,"4":0,"5":1}"#),
    ] {
        assert_eq!(server.vote(body), result);
    }
}

#[test]
fn what_is_no_ballot_is_refused_and_not_recorded() {
    let server = TestServer::start();
    let nested = "[".repeat(10_000);
    let nested_whole = [nested.as_str(), &"]".repeat(5_000)].concat();
    let bad: [&[u8]; 31] = [
        b"",
        b"null",
        b"{}",
        b"[]",
        br#""x""#,
        b"5",
        b"true",
        b"[0]",
        b"[6]",
        b"[-1]",
        b"[1.5]",
        br#"["1.5"]"#,
        br#"["5 "]"#,
        br#"["03"]"#,
        b"[true]",
        b"[null]",
        b"[1,null]",
        b"[[1]]",
        br#"{"a":1}"#,
        b"[99999999999999999999]",
        b"[1,2",
        b"[1,2,]",
        b"\xef\xbb\xbf[1]",
        b"\xff\xfe[\x001\x00]",
        b"[\"\xff\"]",
        b"[1]\xff",
        b"[1]\0",
        b"[1e999]",
        b"[1][2]",
        nested.as_bytes(),
        nested_whole.as_bytes(),
    ];
    let mut kept = server.connect();
    for body in bad {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        for answer in [server.post("/api/submit", body), kept.request("POST", "/api/submit", &[], body)] {
            assert_eq!(answer.status, 422, "{shown}: {answer:?}");
            let code = answer.json()["code"].as_str().unwrap().to_owned();
            assert!(matches!(&*code, "not_a_ballot" | "invalid_choice"), "{shown}: {code}");
            answer.assert_problem(422, &code);
        }
    }
    assert_eq!(server.get("/api/result").text(), NONE);
    assert_eq!(server.voters(), 0);
}

#[test]
fn any_content_type_or_none_is_taken() {
    let server = TestServer::start();
    let types =
        ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "x", "", "\u{e9}"];
    for content_type in types {
        let answer = server.connect().request("POST", "/api/submit", &[("content-type", content_type)], b"[1]");
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
    }
    assert_eq!(server.connect().request("POST", "/api/submit", &[], b"[1]").status, 200);
    assert_eq!(server.voters(), types.len() as u64 + 1);
}

#[test]
fn another_method_is_told_the_right_one() {
    let server = TestServer::start();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = server.connect().request(method, "/api/submit", &[], b"");
        answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let answer = server.post("/api/result", b"[1]");
    answer.assert_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    assert_eq!(server.get("/api/result").text(), NONE);
}

#[test]
fn a_head_has_the_length_of_the_answer_and_no_body() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"HEAD /api/result HTTP/1.1\r\nhost: throng.test\r\n\r\n");
    let head = connection.head().unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some(NONE.len().to_string().as_str())));
    assert_eq!(connection.request("GET", "/api/result", &[], b"").text(), NONE);
}

#[test]
fn a_query_changes_nothing() {
    let server = TestServer::start();
    assert_eq!(server.get("/api/result?_=1").text(), NONE);
    server.assert_result(&server.post("/api/submit?x=[2]", b"[1]"), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn without_a_default_poll_there_is_nothing_to_vote_in() {
    let server = TestServer::start_with(&[("APP_ENV", "prod")]);
    server.post("/api/submit", b"[1]").assert_problem(404, "poll_not_found");
    server.get("/api/result").assert_problem(404, "poll_not_found");
}

#[test]
fn a_ballot_with_an_id_counts_once_however_often_it_is_sent() {
    let server = TestServer::start();
    let id = |number: u64| format!("018f4d1e-7c00-7000-8000-{number:012}");
    let send = |path: &str, key: &str, body: &[u8]| {
        let headers: &[_] = if key.is_empty() { &[] } else { &[("idempotency-key", key)] };
        server.connect().request("POST", path, headers, body)
    };
    for _ in 0..3 {
        assert_eq!(send("/api/submit", &format!("\"{}\"", id(1)), b"[1,3]").status, 200);
        assert_eq!(send(&format!("/api/submit?ballot_id={}", id(2)), "", b"[2]").status, 200);
        assert_eq!(send(&format!("/api/submit?ballot_id={}", id(1)), &id(1), b"[3,1]").status, 200);
    }
    assert_eq!(server.voters(), 2);
    assert_eq!(server.get("/api/result").text(), r#"{"1":1,"2":1,"3":1,"4":0,"5":0}"#);
    for (query, key) in [("", "x"), ("?ballot_id=x", ""), (&*format!("?ballot_id={}", id(1)), &*id(2))] {
        send(&format!("/api/submit{query}"), key, b"[1]").assert_problem(422, "not_a_ballot");
    }
    assert_eq!(server.voters(), 2);
    if !server.is_behind_a_broker() {
        send("/api/submit", &id(1), b"[2]").assert_problem(422, "ballot_id_reused");
    }
}

#[test]
fn a_ballot_with_an_id_sent_again_after_the_close_is_answered_as_before() {
    let server = TestServer::start();
    if server.is_behind_a_broker() {
        // Nobody there can know that it came in time the first time.
        return;
    }
    let send = |number: u64| {
        let key = format!("018f4d1e-7c00-7000-8000-{number:012}");
        server.connect().request("POST", "/api/submit", &[("idempotency-key", &key)], b"[1]")
    };
    assert_eq!(send(1).status, 200);
    server.set_window("demo", Some(NOW), Some(NOW.plus_ms(10)));
    server.clock.set(NOW.plus_ms(10));
    assert_eq!(send(1).status, 200);
    send(2).assert_problem(410, "poll_closed");
    assert_eq!(server.voters(), 1);
}
