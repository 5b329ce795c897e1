//! Requests as bytes, well and badly formed. What is ambiguous must not become a ballot that nobody sent.

use std::io::Write as _;
use std::net::Shutdown;

use throng_testkit::{Answer, Connection, TestServer};

/// What is sent after a test's bytes, to see where their answers end.
const LAST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// The result after one vote for option 1.
const ONE: &str = r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#;

/// The answers to these bytes, as many as there are.
fn answers(server: &TestServer, bytes: &[u8]) -> Vec<Answer> {
    let mut connection = server.connect();
    connection.send(bytes);
    // A server that has closed already needs no last request.
    let _ = connection.writer().write_all(LAST);
    let mut answers: Vec<_> = std::iter::from_fn(|| connection.try_answer()).collect();
    answers.pop_if(|last| last.header("content-type").is_some_and(|kind| kind.contains("openmetrics")));
    answers
}

/// The answers to these bytes from a client that then ends its side of the connection.
fn answers_before_end(server: &TestServer, bytes: &[u8]) -> Vec<Answer> {
    let mut connection = server.connect();
    connection.send(bytes);
    connection.writer().shutdown(Shutdown::Write).unwrap();
    std::iter::from_fn(|| connection.try_answer()).collect()
}

/// The one answer to bytes that can't be read, after which the server closes without being asked to.
#[track_caller]
fn assert_refused(server: &TestServer, bytes: &[u8], status: u16) {
    let mut connection = server.connect();
    connection.send(bytes);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
    let answer = connection.try_answer().unwrap_or_else(|| panic!("no answer to {shown:?}"));
    assert_eq!(answer.status, status, "{shown:?}");
    answer.assert_bad_request(status);
    assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
    assert!(connection.is_closed(), "{shown:?}");
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /api/submit HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}").into_bytes()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn is_last_400(answer: &Answer) -> bool {
    (answer.status, answer.header("connection")) == (400, Some("close"))
}

#[test]
fn what_is_no_request_is_refused() {
    let server = TestServer::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / FTP/1.1\r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nname : value\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n: value\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nname: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nna\0me: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nname: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nname: folded\r\n over two lines\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        assert_refused(&server, bytes, 400);
    }
}

#[test]
fn a_body_of_uncertain_length_is_refused() {
    let server = TestServer::start();
    for headers in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 3, 4\r\n",
        "content-length: 3, 3\r\n",
        "content-length: -3\r\n",
        "content-length: +3\r\n",
        "content-length: 3.0\r\n",
        "content-length: 0x3\r\n",
        "content-length:\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: gzip\r\ncontent-length: 3\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "content-length : 3\r\n",
        "transfer-encoding\t: chunked\r\n",
    ] {
        assert_refused(&server, &post(headers, "[1]"), 400);
    }
    let old = b"POST /api/submit HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n";
    assert_refused(&server, old, 400);
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_length_beside_chunks_does_not_count_and_ends_the_connection() {
    let server = TestServer::start();
    // Whoever stands in front and goes by the length sees one request here, and must not have sent a second.
    let smuggled = "POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[2]";
    for headers in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", 13 + smuggled.len()),
        format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", 13 + smuggled.len()),
    ] {
        let answers = answers(&server, &post(&headers, &format!("3\r\n[1]\r\n0\r\n\r\n{smuggled}")));
        assert_eq!(statuses(&answers), [200]);
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":2,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn no_coding_but_chunked_alone_is_taken() {
    let server = TestServer::start();
    for headers in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: , chunked\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding:\r\ntransfer-encoding: chunked\r\n",
    ] {
        assert_refused(&server, &post(headers, "3\r\n[1]\r\n0\r\n\r\n"), 400);
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_line_may_end_without_its_carriage_return() {
    // RFC 9112, 2.2 allows to read it so, and what stands in front reads it so too.
    let server = TestServer::start();
    assert_eq!(statuses(&answers(&server, b"POST /api/submit HTTP/1.1\nhost: x\ncontent-length: 3\n\n[1]")), [200]);
    assert_eq!(server.voters(), 1);
}

#[test]
fn heads_have_a_limit() {
    let server = TestServer::start();
    let many: String = (0..100).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_refused(&server, &post(&many, ""), 431);
    let long = format!("x: {}\r\n", "y".repeat(20_000));
    assert_refused(&server, &post(&long, ""), 431);
    let large: String = (0..20).map(|number| format!("x-{number}: {}\r\n", "y".repeat(1_000))).collect();
    assert_refused(&server, &post(&large, ""), 431);
    // The address is in the head; that it alone is too long isn't looked for.
    assert_refused(&server, format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000)).as_bytes(), 431);
    let cookie = format!("cookie: {}\r\ncontent-length: 3\r\n", "y".repeat(12_000));
    assert_eq!(statuses(&answers(&server, &post(&cookie, "[1]"))), [200], "a browser's cookies are let through");
}

#[test]
fn a_head_behind_another_request_has_the_same_limit() {
    let server = TestServer::start();
    let first = post("content-length: 15003\r\n", &format!("[1]{}", " ".repeat(15_000)));
    for length in [17_000, 20_000, 24_000, 30_000] {
        let cookie = format!("cookie: {}\r\ncontent-length: 3\r\n", "y".repeat(length));
        // Which part of it is read at once is chance, so it is tried with several beginnings.
        for skip in [0, 3_000, 6_000, 9_000] {
            let first =
                post(&format!("content-length: {}\r\n", 15_003 - skip), &format!("[1]{}", " ".repeat(15_000 - skip)));
            let answers = answers(&server, &[first, post(&cookie, "[2]")].concat());
            assert_eq!(statuses(&answers), [200, 431], "{length} after {skip}");
        }
    }
    assert_eq!(statuses(&answers(&server, &[first.clone(), first].concat())), [200, 200]);
}

#[test]
fn chunks_are_put_together() {
    let server = TestServer::start();
    for body in [
        "3\r\n[1]\r\n0\r\n\r\n",
        "1\r\n[\r\n1\r\n1\r\n1\r\n]\r\n0\r\n\r\n",
        "3;extension=1\r\n[1]\r\n0\r\n\r\n",
        "003\r\n[1]\r\n0\r\ntrailer: x\r\n\r\n",
    ] {
        assert_eq!(statuses(&answers(&server, &post("transfer-encoding: chunked\r\n", body))), [200], "{body:?}");
        assert_eq!(statuses(&answers(&server, &post("Transfer-Encoding: Chunked\r\n", body))), [200], "{body:?}");
    }
    assert_eq!(server.get("/api/result").text(), r#"{"1":8,"2":0,"3":0,"4":0,"5":0}"#);
}

#[test]
fn broken_chunks_are_no_ballot() {
    let server = TestServer::start();
    for body in [
        "x\r\n[1]\r\n0\r\n\r\n",
        "-3\r\n[1]\r\n0\r\n\r\n",
        "0x3\r\n[1]\r\n0\r\n\r\n",
        "\r\n[1]\r\n0\r\n\r\n",
        "2\r\n[1]\r\n0\r\n\r\n",
        "3\r\n[1]0\r\n\r\n",
        "3\n[1]\n0\n\n",
        "ffffffffffffffffff\r\n[1]\r\n0\r\n\r\n",
        "3\r\n[1]\r\n",
        "3\r\n[1]\r\n0\r\n",
        "4\r\n[1]",
    ] {
        let answers = answers_before_end(&server, &post("transfer-encoding: chunked\r\n", body));
        assert!(answers.len() <= 1 && answers.iter().all(is_last_400), "{body:?}: {answers:?}");
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_body_that_ends_early_is_no_ballot() {
    let server = TestServer::start();
    for (announced, body) in [(4, "[1]"), (3, ""), (100, "[1]"), (5, "[1] ")] {
        let answers = answers_before_end(&server, &post(&format!("content-length: {announced}\r\n"), body));
        assert!(answers.len() <= 1 && answers.iter().all(is_last_400), "{announced}: {answers:?}");
    }
    // A reset instead of an end is the same.
    let mut gone = server.connect();
    gone.send(&post("content-length: 4\r\n", "[1]"));
    drop(gone);
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_body_without_length_or_chunks_is_empty() {
    let server = TestServer::start();
    let answers = answers(&server, &post("", "[1]"));
    assert_eq!(statuses(&answers), [422, 400], "what follows is read as the next request");
    assert_eq!(server.voters(), 0);
}

#[test]
fn unusual_and_right_requests_are_answered() {
    let server = TestServer::start();
    for (bytes, expected) in [
        (&b"GET http://throng.test/api/result HTTP/1.1\r\nhost: throng.test\r\n\r\n"[..], 200),
        (b"\r\nGET /api/result HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        (b"GET /api/result?a=b#c HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"get /api/result HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 204),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET /api/result HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 200),
    ] {
        assert_eq!(statuses(&answers(&server, bytes)), [expected], "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_request_says_once_which_host_it_is_for() {
    let server = TestServer::start();
    for bytes in [
        &b"GET /api/result HTTP/1.1\r\n\r\n"[..],
        b"GET /api/result HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET http://x/livez HTTP/1.1\r\n\r\n",
        b"POST /api/submit HTTP/1.1\r\ncontent-length: 3\r\n\r\n[1]",
    ] {
        assert_refused(&server, bytes, 400);
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn a_host_that_is_none_is_refused() {
    let server = TestServer::start();
    for host in [
        "", "a b", "a/b", "a,b", "user@a", "a:port", "a:99999", "a:1:2", ":80", "[::1", "[::1]x", "[a]", "::1",
        "http://a", "a?b", "a#b", "a\\b", "a\"b", "<a>", "\u{e4}",
    ] {
        let request = format!("POST /api/submit HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\n[1]");
        assert_refused(&server, request.as_bytes(), 400);
        assert_refused(&server, format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes(), 400);
    }
    assert_eq!(server.voters(), 0);
    for host in [
        "a",
        "A.example",
        "a.example:8080",
        "a:",
        "127.0.0.1:1",
        "[::1]",
        "[2001:db8::1]:65535",
        "a_b.c-d",
        "xn--bcher-kva",
    ] {
        let request = format!("GET /api/result HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(statuses(&answers(&server, request.as_bytes())), [200], "{host}");
    }
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"POST /api/submit HTTP/1.0\r\ncontent-length: 3\r\n\r\n[1]");
    server.assert_result(&connection.answer(), ONE);
    assert!(connection.is_closed());
    assert_eq!(server.get("/api/result").text(), ONE);
    let mut kept = server.connect();
    for _ in 0..2 {
        kept.send(b"GET /api/result HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(kept.answer().header("connection"), Some("keep-alive"));
    }
}

#[test]
fn a_client_that_wants_to_close_is_closed() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let answer = connection.request("POST", "/api/submit", &[("connection", "close")], b"[1]");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(connection.is_closed());
}

#[test]
fn requests_in_a_row_are_answered_in_that_order() {
    let server = TestServer::start();
    let ballots: Vec<u8> = (1..=5).flat_map(|id| post("content-length: 3\r\n", &format!("[{id}]"))).collect();
    let mut connection = server.connect();
    connection.send(&ballots);
    let result = |count: [u8; 5]| {
        let [a, b, c, d, e] = count;
        format!(r#"{{"1":{a},"2":{b},"3":{c},"4":{d},"5":{e}}}"#)
    };
    for count in [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]] {
        server.assert_result(&connection.answer(), &result(count));
    }
    assert_eq!(server.get("/api/result").text(), result([1; 5]));
}

#[test]
fn a_bad_request_after_a_good_one_takes_nothing_away_from_it() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let bad = post("content-length: 1\r\ncontent-length: 2\r\n", "");
    connection.send(&[post("content-length: 3\r\n", "[1]"), bad].concat());
    server.assert_result(&connection.answer(), ONE);
    connection.answer().assert_bad_request(400);
    assert!(connection.is_closed());
    assert_eq!(server.get("/api/result").text(), ONE);
}

#[test]
fn a_request_may_come_in_single_bytes() {
    let server = TestServer::start();
    let mut connection: Connection = server.connect();
    for byte in post("content-length: 3\r\n", "[1]") {
        connection.send(&[byte]);
    }
    assert_eq!(connection.answer().status, 200);
}
