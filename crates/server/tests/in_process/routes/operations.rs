//! For operators: `/livez`, `/readyz`, `/metrics`.

use throng_testkit::TestServer;

/// The value of a metric by its full name, labels included.
fn metric(server: &TestServer, name: &str) -> f64 {
    sample(server.get("/metrics").text(), name)
}

/// The value of a metric in a text of metrics.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn it_is_alive_and_ready() {
    let server = TestServer::start();
    for path in ["/livez", "/readyz"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None, "other sites' pages have no business here");
    }
}

#[test]
fn what_happens_is_measured() {
    let server = TestServer::start();
    // Until it is ready behind a broker, it says so.
    let not_ready = metric(&server, r#"throng_http_responses_total{class="5xx"}"#);
    server.post("/api/submit", b"[1]");
    server.post("/api/submit", b"[2]");
    server.post("/api/submit", b"x");
    server.get("/nowhere");
    let ballot = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[2]}"#;
    server.post("/api/v1/polls/demo/ballots", ballot);
    server.post("/api/v1/polls/demo/ballots", ballot);
    if server.is_behind_a_broker() {
        assert_eq!(metric(&server, "throng_ballots_accepted_total"), 4.0);
    } else {
        assert_eq!(metric(&server, r#"throng_ballots_total{outcome="counted"}"#), 3.0);
        assert_eq!(metric(&server, r#"throng_ballots_total{outcome="counted_before"}"#), 1.0);
        assert!(metric(&server, "throng_record_seconds_count") >= 1.0);
    }
    assert_eq!(metric(&server, r#"throng_http_responses_total{class="4xx"}"#), 2.0);
    assert_eq!(metric(&server, r#"throng_http_responses_total{class="5xx"}"#), not_ready);
    assert_eq!(metric(&server, r#"throng_ballots_refused_total{reason="overloaded"}"#), 0.0);
    assert_eq!(metric(&server, r#"throng_ballots_refused_total{reason="not_a_ballot"}"#), 1.0);
    assert_eq!(metric(&server, "throng_ballots_admitted_total"), 4.0);
    assert_eq!(metric(&server, r#"throng_batches_failed_total{outcome="unknown"}"#), 0.0);
    assert_eq!(metric(&server, "throng_ballots_waiting"), 0.0);
    assert_eq!(metric(&server, "throng_batch_ballots_sum"), 4.0);
    assert!(metric(&server, "throng_connections") >= 1.0);
    let mut kept = server.connect();
    let mut accepted = || {
        let answer = kept.request("GET", "/metrics", &[], b"");
        sample(answer.text(), "throng_connections_accepted_total")
    };
    let before = accepted();
    assert!(before >= 6.0, "one for each request above: {before}");
    assert_eq!(accepted(), before, "a connection that is used again is counted once");
}

#[test]
fn the_metrics_say_in_which_format_they_are() {
    let server = TestServer::start();
    let answer = server.get("/metrics");
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), (Some(expected), Some("no-store")));
    assert!(answer.text().ends_with("# EOF\n"));
}
