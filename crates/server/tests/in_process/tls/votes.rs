//! Votes and results over TLS: the same as without.

use throng_testkit::Connection;

use crate::tls::certificate::TlsServer;
use crate::tls::client::{config, handshake};
use crate::tls::http2::Client;

const BALLOT: &[u8] = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[2]}"#;
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn votes_come_by_http_1_1() {
    let server = TlsServer::start();
    for offered in [&["http/1.1"][..], &["http/1.1", "unheard-of"], &[]] {
        let mut connection = Connection::over(server.stream(offered));
        for _ in 0..2 {
            assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
        }
        assert_eq!(connection.request("GET", "/api/result", &[], b"").status, 200);
        // From here on the connection is the library's.
        let answer = connection.request("POST", "/api/v1/polls/demo/ballots", JSON, BALLOT);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (201, Some("counted")));
        assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
        connection.request("POST", "/api/submit", &[], b"[9]").assert_problem(422, "invalid_choice");
        connection.send(b"nonsense\r\n\r\n");
        connection.answer().assert_bad_request(400);
        assert!(connection.is_closed());
    }
    assert_eq!(server.server.stored_voters(), 10);
}

#[test]
fn votes_come_by_http_2() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    assert_eq!(client.request("POST", "/api/submit", &[], b"[1]").text(), r#"{"1":1,"2":0,"3":0,"4":0,"5":0}"#);
    for _ in 0..2 {
        let answer = client.request("POST", "/api/v1/polls/demo/ballots", JSON, BALLOT);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (201, Some("counted")));
    }
    client.request("POST", "/api/submit", &[], b"[9]").assert_problem(422, "invalid_choice");
    client.request("GET", "/nowhere", &[], b"").assert_problem(404, "not_found");
    client.request("PUT", "/api/submit", &[], b"[1]").assert_problem(405, "method_not_allowed");
    let page = client.request("GET", "/polls/demo", &[], b"");
    assert!(page.text().contains("<form"), "{page:?}");
    assert_eq!(server.server.stored_voters(), 2);
}

#[test]
fn answers_are_the_same_over_both() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    for (method, path) in [("GET", "/api/result"), ("GET", "/"), ("GET", "/nowhere"), ("OPTIONS", "/api/submit")] {
        let headers = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
        let old = server.connect().request(method, path, &headers, b"");
        let new = client.request(method, path, &headers, b"");
        assert_eq!((old.status, old.text()), (new.status, new.text()), "{method} {path}");
        let said = |headers: &[(String, String)]| {
            let mut said: Vec<_> = headers.iter().filter(|(name, _)| name != "date").cloned().collect();
            said.sort();
            said
        };
        assert_eq!(said(old.headers()), said(new.headers()), "{method} {path}");
        assert!(new.header("date").is_some(), "{method} {path}");
    }
}

#[test]
fn refused_http_2_request_has_the_date_of_the_servers_clock() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    let accepted = client.request("GET", "/api/result", &[], b"");
    let refused = client.request("GET", "/api/result", &[("host", "other.example")], b"");
    refused.assert_problem(400, "bad_request");
    assert_eq!(refused.header("date"), accepted.header("date"));
}

#[test]
fn a_head_has_the_body_s_length_and_no_body() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    for path in ["/api/result", "/polls/demo", "/nowhere"] {
        let whole = client.request("GET", path, &[], b"");
        let head = client.request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (whole.status, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()), "{path}");
    }
}

#[test]
fn what_has_not_changed_has_no_length() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    let results = client.request("GET", "/api/v1/polls/demo/results", &[], b"");
    let asked = [("if-none-match", results.header("etag").unwrap())];
    for method in ["GET", "HEAD"] {
        let unchanged = client.request(method, "/api/v1/polls/demo/results", &asked, b"");
        assert_eq!((unchanged.status, unchanged.header("content-length")), (304, None), "{method}");
    }
}

#[test]
fn many_votes_at_once_on_one_connection_count_once_each() {
    let server = TlsServer::start();
    let client = Client::open(&server);
    // More than may be open at once: the client waits with the others.
    let answers = client.votes(500);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(server.server.stored_voters(), 500);
}

#[test]
fn tls_1_2_is_spoken_too() {
    let server = TlsServer::start();
    let config = config(&server.certificate.der, &["http/1.1"], &[&rustls::version::TLS12]);
    let stream = handshake(Connection::tcp(server.server.address), config).unwrap();
    assert_eq!(Connection::over(stream).request("POST", "/api/submit", &[], b"[1]").status, 200);
}
