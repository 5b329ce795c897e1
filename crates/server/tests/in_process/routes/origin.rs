//! Whose pages may send ballots.

use throng_testkit::{Answer, TestServer};

const OWN: &str = "http://throng.test";
const LISTED: &str = "https://ok.example";
const ROUTES: [&str; 3] = ["/api/submit", "/api/v1/polls/demo/ballots", "/polls/demo"];

/// The answer to a ballot, number `number`, that is sent to a route with these headers beside its type.
fn ballot(server: &TestServer, route: &str, number: u64, headers: &[(&str, &str)]) -> Answer {
    let id = format!("018f4d1e-7c00-7000-8000-{number:012x}");
    let (media_type, body) = match route {
        "/api/submit" => ("text/plain", "[1]".to_owned()),
        "/polls/demo" => ("application/x-www-form-urlencoded", format!("choice=1&ballot_id={id}")),
        _ => ("text/plain", format!(r#"{{"ballot_id":"{id}","choices":[1]}}"#)),
    };
    let headers = [headers, &[("content-type", media_type)]].concat();
    server.connect().request("POST", route, &headers, body.as_bytes())
}

/// Sends a ballot with each of these headers to each route, and counts those that were taken; the others were refused.
#[track_caller]
fn taken(server: &TestServer, cases: &[&[(&str, &str)]]) -> u64 {
    let before = server.stored_voters();
    let mut taken = 0;
    for (number, (headers, route)) in (before..).zip(cases.iter().flat_map(|case| ROUTES.map(|route| (case, route)))) {
        let answer = ballot(server, route, number, headers);
        match answer.status {
            200 | 201 | 202 | 303 => taken += 1,
            _ => answer.assert_problem(403, "origin_not_allowed"),
        }
    }
    assert_eq!(server.stored_voters() - before, taken, "what was refused wasn't counted");
    taken
}

fn in_prod() -> TestServer {
    let server = TestServer::start_with(&[("APP_ENV", "prod"), ("CORS_ALLOW_ORIGIN", LISTED)]);
    server.create_poll(throng_domain::new_poll::NewPoll::demo("demo".parse().unwrap(), throng_testkit::NOW));
    server
}

#[test]
fn ballots_of_other_sites_pages_are_refused_in_production() {
    let cases: [&[_]; 8] = [
        &[("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://sub.throng.test"), ("sec-fetch-site", "same-site")],
        &[("origin", "http://throng.test.evil.example")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", OWN), ("sec-fetch-site", "cross-site")],
    ];
    assert_eq!(taken(&in_prod(), &cases), 0);
}

#[test]
fn ballots_of_own_and_listed_pages_and_of_programs_are_taken() {
    let cases: [&[_]; 8] = [
        &[],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", OWN)],
        &[("origin", "https://throng.test"), ("sec-fetch-site", "same-origin")],
        &[("origin", "https://vote.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", LISTED)],
        &[("origin", LISTED), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ];
    assert_eq!(taken(&in_prod(), &cases), 8 * 3);
}

#[test]
fn where_every_page_is_allowed_every_page_votes() {
    let cases: [&[_]; 3] =
        [&[("origin", "https://anywhere.example")], &[("origin", "null")], &[("sec-fetch-site", "cross-site")]];
    assert_eq!(taken(&TestServer::start(), &cases), 9);
    let any = [("APP_ENV", "prod"), ("CORS_ALLOW_ORIGIN", "*")];
    let server = TestServer::start_with(&any);
    server.create_poll(throng_domain::new_poll::NewPoll::demo("demo".parse().unwrap(), throng_testkit::NOW));
    assert_eq!(taken(&server, &cases), 9);
}

#[test]
fn refused_page_is_told_in_words_and_counted_as_a_refusal() {
    let server = in_prod();
    let headers = [("origin", "https://evil.example"), ("accept", "text/html")];
    let page = ballot(&server, "/polls/demo", 1, &headers);
    assert_eq!((page.status, page.header("content-type")), (403, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("Your vote was not counted"), "{}", page.text());
    let refused = "throng_ballots_refused_total{reason=\"origin_not_allowed\"} 1";
    assert!(server.get("/metrics").text().contains(refused));
    // Whoever only reads is kept from nothing.
    assert_eq!(server.connect().request("GET", "/api/result", &headers, b"").status, 200);
}
