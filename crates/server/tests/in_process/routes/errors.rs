//! Errors of every route, the framework's own too: all of one shape.

use throng_testkit::TestServer;

#[test]
fn an_address_that_is_not_there() {
    let server = TestServer::start();
    for path in
        ["/nowhere", "/api", "/api/", "/api/nowhere", "/api/v2/polls/demo", "/api/submit/", "//", "/%ff", "/livez/x"]
    {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            let answer = server.connect().request(method, path, &[], b"");
            answer.assert_problem(404, "not_found");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
}

#[test]
fn an_address_that_does_not_take_the_method_names_those_it_takes() {
    let server = TestServer::start();
    for (path, right) in [
        ("/api/submit", "POST"),
        ("/api/result", "GET,HEAD"),
        ("/api/v1/polls/demo", "GET,HEAD"),
        ("/api/v1/polls/demo/ballots", "POST"),
        ("/api/v1/polls/demo/results", "GET,HEAD"),
        ("/livez", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
        ("/metrics", "GET,HEAD"),
    ] {
        for method in ["GET", "POST", "DELETE", "BREW"] {
            if right.split(',').any(|takes| takes == method) {
                continue;
            }
            let answer = server.connect().request(method, path, &[], b"[1]");
            answer.assert_problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(right), "{method} {path}");
        }
    }
    assert_eq!(server.voters(), 0);
}

#[test]
fn options_names_the_methods_of_an_address() {
    let server = TestServer::start();
    for (path, methods) in [
        ("/", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
        ("/polls/demo", "GET,HEAD,POST"),
        ("/api/submit", "POST"),
        ("/api/v1/polls/demo/ballots", "POST"),
        ("*", "GET, HEAD, POST"),
    ] {
        let answer = server.connect().request("OPTIONS", path, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (204, Some(methods)), "{path}");
        assert_eq!(answer.text(), "");
    }
    server.connect().request("OPTIONS", "/nowhere", &[], b"").assert_problem(404, "not_found");
}

#[test]
fn a_load_balancer_of_http_1_0_is_told_that_we_live() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send(b"OPTIONS / HTTP/1.0\r\n\r\n");
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET,HEAD")));
}

#[test]
fn a_head_has_the_status_of_its_get_and_no_body() {
    let server = TestServer::start();
    for path in ["/livez", "/api/result", "/api/v1/polls/demo", "/api/v1/polls/demo/results", "/nowhere", "/api/submit"]
    {
        let get = server.get(path);
        let mut connection = server.connect();
        connection.send(format!("HEAD {path} HTTP/1.1\r\nhost: throng.test\r\n\r\n").as_bytes());
        let head = connection.head().unwrap();
        assert_eq!((head.status, head.header("content-length")), (get.status, get.header("content-length")), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        // No byte of a body came before the next answer.
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
}

#[test]
fn an_error_leaves_the_connection_usable() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.request("GET", "/nowhere", &[], b"").assert_problem(404, "not_found");
    connection.request("GET", "/api/submit", &[], b"").assert_problem(405, "method_not_allowed");
    connection.request("POST", "/api/submit", &[], b"x").assert_problem(422, "not_a_ballot");
    connection.request("POST", "/nowhere", &[], b"a body that nobody reads").assert_problem(404, "not_found");
    assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
}

#[test]
fn a_body_that_nobody_waits_for_ends_the_connection() {
    let server = TestServer::start();
    let large = "x".repeat(20_000);
    for (headers, body) in [
        ("content-length: 20000\r\n", large.as_str()),
        ("content-length: 5\r\n", "[1]"),
        ("transfer-encoding: chunked\r\n", "3\r\n[1]\r\n"),
        ("content-length: 3\r\nexpect: 100-continue\r\n", ""),
    ] {
        for path in ["/nowhere", "/api/result"] {
            let mut connection = server.connect();
            connection.send(format!("POST {path} HTTP/1.1\r\nhost: throng.test\r\n{headers}\r\n{body}").as_bytes());
            let answer = connection.answer();
            assert!([404, 405].contains(&answer.status), "{path} {headers}");
            assert_eq!(answer.header("connection"), Some("close"), "{path} {headers}");
            assert!(connection.is_closed());
        }
    }
}

#[test]
fn a_body_in_a_content_coding_is_refused() {
    let server = TestServer::start();
    let v1 = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[1]}"#;
    let form = b"choice=1&ballot_id=018f4d1e-7c00-7000-8000-000000000002";
    for (path, kind, body) in [
        ("/api/submit", "application/json", &b"[1]"[..]),
        ("/api/v1/polls/demo/ballots", "application/json", v1),
        ("/polls/demo", "application/x-www-form-urlencoded", form),
    ] {
        for coding in ["gzip", "br", "identity, gzip", "x"] {
            let headers = [("content-type", kind), ("content-encoding", coding)];
            let answer = server.connect().request("POST", path, &headers, body);
            assert_eq!(answer.status, 415, "{path} {coding}");
            if path.starts_with("/api/") {
                answer.assert_problem(415, "unsupported_content_encoding");
            }
        }
        let headers = [("content-type", kind), ("content-encoding", "identity")];
        assert!(server.connect().request("POST", path, &headers, body).status < 400, "{path}");
    }
    assert_eq!(server.stored_voters(), 3);
}
