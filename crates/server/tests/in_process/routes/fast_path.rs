//! The fast path for simple requests: its responses are those of the HTTP library.

use throng_testkit::{Answer, TestServer};

/// The answers to one request, on the fast path and from the HTTP library: a length with zeros before it is valid and not plain.
fn both(server: &TestServer, method: &str, path: &str, headers: &str, body: &str) -> [Answer; 2] {
    let length = body.len();
    let plain = if method == "GET" { String::new() } else { format!("content-length: {length}\r\n") };
    [plain, format!("content-length: {length:06}\r\n")].map(|length| {
        let mut connection = server.connect();
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}{length}\r\n{body}").as_bytes());
        connection.answer()
    })
}

/// Fails unless the two answers differ in nothing but the date.
#[track_caller]
fn assert_alike([plain, library]: &[Answer; 2]) {
    assert_eq!((plain.status, plain.text()), (library.status, library.text()));
    let said = |answer: &Answer| {
        let mut headers = answer.headers().to_vec();
        headers.iter_mut().filter(|(name, _)| name == "date").for_each(|(_, date)| date.clear());
        headers.sort();
        headers
    };
    assert_eq!(said(plain), said(library));
    assert_eq!(plain.header("date").map(str::len), Some("Sun, 06 Nov 1994 08:49:37 GMT".len()));
}

#[test]
fn fast_path_responds_as_the_library_does() {
    let server = TestServer::start();
    for body in ["", "null", "[]", "[0]", "[6]", "[1.5]", "[1,2", "\u{feff}[1]", "[1]x"] {
        assert_alike(&both(&server, "POST", "/api/submit", "", body));
    }
    for headers in ["", "connection: keep-alive\r\n", "origin: https://a.example\r\n", "origin: null\r\n"] {
        assert_alike(&both(&server, "GET", "/api/result", headers, ""));
        assert_alike(&both(&server, "POST", "/api/submit", headers, "[7]"));
    }
    assert_eq!(server.stored_voters(), 0);
    let [plain, library] = both(&server, "POST", "/api/submit", "", "[1]");
    server.assert_result(&plain, r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
    server.assert_result(&library, r#"{"1":2,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.stored_voters(), 2);
}

#[test]
fn listed_origins_are_answered_alike() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", "https://a.example")]);
    for origin in ["https://a.example", "https://a.example.evil.com", "null"] {
        let headers = format!("origin: {origin}\r\n");
        assert_alike(&both(&server, "GET", "/api/result", &headers, ""));
        assert_alike(&both(&server, "POST", "/api/submit", &headers, "[7]"));
    }
    assert_alike(&both(&server, "GET", "/api/result", "", ""));
}

#[test]
fn connection_that_leaves_the_fast_path_counts_every_ballot_once() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let vote = "POST /api/submit HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n[1]";
    let get = "GET /api/v1/polls/demo HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..3 {
        connection.send(vote.as_bytes());
        assert_eq!(connection.answer().status, 200);
    }
    // Two at once, and one that another route answers: from here on the library has the connection.
    connection.send([vote, vote, get].concat().as_bytes());
    for _ in 0..3 {
        assert_eq!(connection.answer().status, 200);
    }
    connection.send(vote.as_bytes());
    server.assert_result(&connection.answer(), r#"{"1":6,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.stored_voters(), 6);
}
