//! Which other sites' pages may call.

use throng_testkit::{Answer, TestServer};

const ALLOW: &str = "access-control-allow-origin";
const LISTED: &str = "https://ok.example,http://localhost:3000";

fn from(server: &TestServer, origin: &str, method: &str, path: &str) -> Answer {
    server.connect().request(method, path, &[("origin", origin), ("content-type", "text/plain")], b"[1]")
}

fn listed() -> TestServer {
    TestServer::start_with(&[("CORS_ALLOW_ORIGIN", LISTED)])
}

#[test]
fn in_development_every_page_may_call() {
    let server = TestServer::start();
    for origin in ["https://anywhere.example", "null"] {
        let answer = from(&server, origin, "POST", "/api/submit");
        assert_eq!((answer.status, answer.header(ALLOW)), (200, Some("*")));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[test]
fn what_a_cache_may_keep_is_for_the_next_page_too() {
    let server = TestServer::start();
    for path in ["/api/v1/polls/demo", "/api/v1/polls/demo/results"] {
        assert_eq!(server.get(path).header(ALLOW), Some("*"), "{path}, though no page asked");
    }
}

#[test]
fn a_listed_origin_is_named_and_the_answer_is_its_own() {
    let server = listed();
    for origin in LISTED.split(',') {
        for (method, path) in [("POST", "/api/submit"), ("GET", "/api/v1/polls/demo/results"), ("GET", "/api/nowhere")]
        {
            let answer = from(&server, origin, method, path);
            assert_eq!(answer.header(ALLOW), Some(origin), "{path}");
            assert_eq!(answer.header("vary"), Some("Origin"), "{path}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
}

#[test]
fn other_origins_are_never_reflected() {
    let server = listed();
    for origin in [
        "null",
        "https://evil.example",
        "https://ok.example.evil.com",
        "https://ok.example:8443",
        "http://ok.example",
        "HTTPS://OK.EXAMPLE",
        "https://ok.example/",
        "*",
        "",
    ] {
        let answer = from(&server, origin, "GET", "/api/result");
        assert_eq!((answer.header(ALLOW), answer.header("vary")), (None, Some("Origin")), "{origin}");
    }
    assert_eq!(server.get("/api/result").header("vary"), Some("Origin"), "a cache keeps this one apart as well");
}

#[test]
fn credentials_are_allowed_to_listed_origins_where_that_is_asked_for() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", LISTED), ("CORS_ALLOW_CREDENTIALS", "true")]);
    for (origin, allowed) in
        [("https://ok.example", Some("true")), ("https://ok.example.evil.com", None), ("null", None)]
    {
        let asks = [("origin", origin), ("access-control-request-method", "POST")];
        let preflight = server.connect().request("OPTIONS", "/api/submit", &asks, b"");
        for answer in [preflight, from(&server, origin, "POST", "/api/submit"), from(&server, origin, "GET", "/api/x")]
        {
            assert_eq!(answer.header("access-control-allow-credentials"), allowed, "{origin}");
            assert_eq!(answer.header(ALLOW), allowed.map(|_| origin));
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
    let operations = from(&server, "https://ok.example", "GET", "/metrics");
    assert_eq!(operations.header("access-control-allow-credentials"), None);
}

#[test]
fn in_production_no_origin_is_allowed_unasked() {
    let server = TestServer::start_with(&[("APP_ENV", "prod")]);
    let answer = from(&server, "https://anywhere.example", "GET", "/api/result");
    assert_eq!((answer.header(ALLOW), answer.header("vary")), (None, Some("Origin")));
}

#[test]
fn a_browser_that_asks_first_is_told_what_it_may_send() {
    for (settings, origin, allowed) in [
        (&[][..], "https://anywhere.example", Some("*")),
        (&[("CORS_ALLOW_ORIGIN", LISTED)], "https://ok.example", Some("https://ok.example")),
        (&[("CORS_ALLOW_ORIGIN", LISTED)], "https://evil.example", None),
    ] {
        let server = TestServer::start_with(settings);
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let mut connection = server.connect();
        let answer = connection.request("OPTIONS", "/api/v1/polls/demo/ballots", &headers, b"");
        assert_eq!((answer.status, answer.header(ALLOW)), (204, allowed));
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
        assert!(answer.header("access-control-allow-headers").unwrap().contains("content-type"));
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));
        assert!(answer.body.is_empty());
        // Asking changes nothing, and the connection goes on.
        assert_eq!(connection.request("GET", "/api/result", &[], b"").status, 200);
    }
}

#[test]
fn routes_for_operators_are_for_no_page() {
    let server = TestServer::start();
    for path in ["/livez", "/readyz", "/metrics", "/nowhere"] {
        assert_eq!(from(&server, "https://anywhere.example", "GET", path).header(ALLOW), None, "{path}");
    }
    let asks = [("origin", "https://anywhere.example"), ("access-control-request-method", "POST")];
    let answer = server.connect().request("OPTIONS", "/metrics", &asks, b"");
    // What it takes is no secret, but no browser reads a permission in that.
    assert_eq!((answer.status, answer.header(ALLOW), answer.header("access-control-allow-methods")), (204, None, None));
}

/// `OPTIONS` without the headers of a preflight, as a program sends it.
#[test]
fn plain_options_may_be_read_by_the_same_pages() {
    let server = listed();
    for path in ["/api/v1/polls/demo", "/api/submit"] {
        let answer = from(&server, "https://ok.example", "OPTIONS", path);
        assert_eq!(
            (answer.status, answer.header(ALLOW), answer.body.len()),
            (204, Some("https://ok.example"), 0),
            "{path}"
        );
        assert!(answer.header("allow").is_some() && answer.header("content-type").is_none(), "{path}");
    }
    assert_eq!(from(&server, "https://ok.example", "OPTIONS", "/metrics").header(ALLOW), None);
}
