//! Polls that list the origins whose pages may vote in them.

use throng_domain::new_poll::NewPoll;
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::Policy;
use throng_testkit::{Answer, NOW, TestServer};

const ALLOW: &str = "access-control-allow-origin";
const CREDENTIALS: &str = "access-control-allow-credentials";
const LISTED: &str = "https://ok.example";
const CONFIGURED: &str = "https://configured.example";
const ROUTES: [&str; 3] = ["/api/submit", "/api/v1/polls/demo/ballots", "/polls/demo"];

/// What isn't the listed origin, though it looks like it.
const LOOK_ALIKES: [&str; 8] = [
    "https://ok.example.evil.com",
    "https://ok.example:8443",
    "http://ok.example",
    "HTTPS://OK.EXAMPLE",
    "https://ok.example/",
    "https://evil.com/https://ok.example",
    "*",
    "",
];

fn origins(listed: &[&str]) -> AllowedOrigins {
    listed.iter().map(|origin| origin.parse().unwrap()).collect()
}

fn demo(listed: &[&str]) -> NewPoll {
    NewPoll { allowed_origins: origins(listed), ..NewPoll::demo("demo".parse().unwrap(), NOW) }
}

/// A server with these settings whose default poll lists these origins, and whose poll `open` lists none.
fn server(settings: &[(&str, &str)], listed: &[&str]) -> TestServer {
    let server = TestServer::start_with(&[&[("APP_ENV", "prod")], settings].concat());
    server.create_poll(demo(listed));
    server.create_poll(NewPoll::demo("open".parse().unwrap(), NOW));
    server
}

/// The answer to a ballot, number `number`, that a browser sends from a page with these headers, in the way of the route.
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

/// Sends a ballot with each of these headers to each route, and returns how many were taken; the others were refused with this code.
#[track_caller]
fn taken(server: &TestServer, cases: &[&[(&str, &str)]], refused: &str) -> u64 {
    let before = server.stored_voters();
    let mut taken = 0;
    for (number, (headers, route)) in (before..).zip(cases.iter().flat_map(|case| ROUTES.map(|route| (case, route)))) {
        let answer = ballot(server, route, number, headers);
        match answer.status {
            200 | 201 | 202 | 303 => taken += 1,
            _ => answer.assert_problem(403, refused),
        }
    }
    assert_eq!(server.stored_voters() - before, taken, "what was refused wasn't counted");
    taken
}

/// S16: whatever the server's configuration allows.
#[test]
fn votes_of_pages_that_are_not_listed_are_refused() {
    let mut cases: Vec<&[_]> = vec![
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", CONFIGURED), ("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", LISTED), ("origin", "https://evil.example")],
    ];
    let look_alikes = LOOK_ALIKES.map(|origin| [("origin", origin)]);
    cases.extend(look_alikes.iter().map(|headers| &headers[..]));
    for settings in [&[][..], &[("CORS_ALLOW_ORIGIN", "*")], &[("CORS_ALLOW_ORIGIN", CONFIGURED)]] {
        assert_eq!(taken(&server(settings, &[LISTED]), &cases, "origin_not_listed"), 0, "{settings:?}");
    }
}

#[test]
fn votes_of_own_and_listed_pages_and_of_programs_are_taken() {
    let cases: [&[_]; 6] = [
        &[],
        &[("origin", LISTED)],
        &[("origin", LISTED), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://throng.test"), ("sec-fetch-site", "same-origin")],
        &[("origin", "http://throng.test")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
    ];
    assert_eq!(taken(&server(&[], &[LISTED]), &cases, ""), 6 * 3);
    let at_public_url = [("PUBLIC_URL", "https://vote.example")];
    let from_there: [&[_]; 1] = [&[("origin", "https://vote.example")]];
    assert_eq!(taken(&server(&at_public_url, &[LISTED]), &from_there, ""), 3);
}

/// S16: pages in sandboxed frames have the origin `null`, and so has a form of any site that wants it: only where the poll says so.
#[test]
fn pages_without_an_origin_vote_by_a_switch_of_the_polls() {
    let cases: [&[_]; 2] = [&[("origin", "null")], &[("origin", "null"), ("sec-fetch-site", "cross-site")]];
    assert_eq!(taken(&server(&[("CORS_ALLOW_ORIGIN", "*")], &[LISTED]), &cases, "origin_not_listed"), 0);
    assert_eq!(taken(&server(&[], &[LISTED, "null"]), &cases, ""), 6);
    assert_eq!(taken(&server(&[], &[]), &cases, "origin_not_allowed"), 0, "as everywhere");
}

/// S16: a form can send any text as `text/plain`, without the browser asking first.
#[test]
fn cross_site_form_is_refused_before_its_body_is_read() {
    let server = server(&[("CORS_ALLOW_ORIGIN", "*")], &[LISTED]);
    for route in ROUTES {
        let mut connection = server.connect();
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: throng.test\r\norigin: https://evil.example\r\nsec-fetch-site: cross-site\r\n\
             content-type: text/plain\r\ncontent-length: 16000\r\n\r\n"
        );
        connection.send(head.as_bytes());
        // No byte of the body was sent.
        connection.answer().assert_problem(403, "origin_not_listed");
    }
    let page = ballot(&server, "/polls/demo", 1, &[("origin", "https://evil.example"), ("accept", "text/html")]);
    assert!(page.status == 403 && page.text().contains("Your vote was not counted"), "{}", page.text());
    let refused = "throng_ballots_refused_total{reason=\"origin_not_listed\"} 4";
    assert!(server.get("/metrics").text().contains(refused), "{}", server.get("/metrics").text());
}

/// S15: no origin but a listed one may read, and none is named with credentials.
#[test]
fn only_listed_origins_read_a_polls_routes() {
    let any = [("CORS_ALLOW_ORIGIN", "*")];
    let with_credentials = [("CORS_ALLOW_ORIGIN", CONFIGURED), ("CORS_ALLOW_CREDENTIALS", "true")];
    for settings in [&any[..], &with_credentials] {
        let server = server(settings, &[LISTED]);
        let asks = [("access-control-request-method", "POST")];
        for (method, path, headers) in [
            ("GET", "/api/v1/polls/demo", &[][..]),
            ("GET", "/api/v1/polls/demo/results", &[]),
            ("GET", "/api/v1/polls/demo/challenge", &[]),
            ("POST", "/api/v1/polls/demo/ballots", &[]),
            ("DELETE", "/api/v1/polls/demo/ballots", &[]),
            ("OPTIONS", "/api/v1/polls/demo/ballots", &asks),
            ("OPTIONS", "/api/v1/polls/demo/results", &[]),
            ("OPTIONS", "/api/submit", &asks),
            ("GET", "/api/result", &[]),
            ("POST", "/api/submit", &[]),
        ] {
            let send = |origin| {
                let headers = [headers, &[("origin", origin)]].concat();
                server.connect().request(method, path, &headers, b"x")
            };
            for origin in LOOK_ALIKES.into_iter().chain(["null", CONFIGURED, "https://evil.example"]) {
                let answer = send(origin);
                assert_eq!(
                    (answer.header(ALLOW), answer.header("vary")),
                    (None, Some("Origin")),
                    "{method} {path} {origin}"
                );
                assert_eq!(answer.header(CREDENTIALS), None, "{method} {path} {origin}");
            }
            let answer = send(LISTED);
            assert_eq!(
                (answer.header(ALLOW), answer.header("vary")),
                (Some(LISTED), Some("Origin")),
                "{method} {path}"
            );
            assert_eq!(answer.header(CREDENTIALS), None, "{method} {path}");
        }
        assert_eq!(server.get("/api/v1/polls/demo/results").header("vary"), Some("Origin"), "a cache keeps this apart");
        assert_eq!(server.get("/api/v1/polls/demo/results").header(ALLOW), None);
    }
}

/// S15: credentials are for the operator to allow, and never for `null`.
#[test]
fn credentials_are_for_origins_that_are_configured_too() {
    let settings = [("CORS_ALLOW_ORIGIN", CONFIGURED), ("CORS_ALLOW_CREDENTIALS", "true")];
    let server = server(&settings, &[LISTED, CONFIGURED, "null"]);
    for (origin, credentials) in [(LISTED, None), ("null", None), (CONFIGURED, Some("true"))] {
        for path in ["/api/result", "/api/v1/polls/demo/results"] {
            let answer = server.connect().request("GET", path, &[("origin", origin)], b"");
            assert_eq!((answer.header(ALLOW), answer.header(CREDENTIALS)), (Some(origin), credentials), "{path}");
        }
    }
}

/// Where a poll lists nothing, all is as it was before.
#[test]
fn polls_without_a_list_are_as_configured() {
    for (configured, allowed, origin) in [
        ("*", Some("*"), "https://any.example"),
        (CONFIGURED, Some(CONFIGURED), CONFIGURED),
        (CONFIGURED, None, LISTED),
    ] {
        let server = server(&[("CORS_ALLOW_ORIGIN", configured)], &[LISTED]);
        let answer = server.connect().request("GET", "/api/v1/polls/open/results", &[("origin", origin)], b"");
        assert_eq!(answer.header(ALLOW), allowed);
        let answer = ballot(&server, "/api/v1/polls/open/ballots", 1, &[("origin", origin)]);
        assert_eq!(answer.status, if allowed.is_some() { server.taken() } else { 403 });
        assert_eq!(answer.header(ALLOW), allowed);
        let policy = "frame-ancestors 'none'";
        assert!(server.get("/polls/open").header("content-security-policy").unwrap().ends_with(policy));
    }
}

/// A withdrawal changes a count, as a vote does.
#[test]
fn withdrawals_are_for_listed_pages_too() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", "*")]);
    let poll = NewPoll { policy: Policy::Device, changeable: true, ..NewPoll::demo("song".parse().unwrap(), NOW) };
    server.create_poll(NewPoll { allowed_origins: origins(&[LISTED]), ..poll });
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    let body = format!(r#"{{"ballot_id":"{id}","choices":[1]}}"#);
    let cast = server.post("/api/v1/polls/song/ballots", body.as_bytes());
    assert_eq!(cast.status, server.taken(), "{cast:?}");
    let receipt = cast.json()["receipt"].as_str().unwrap().to_owned();
    let address = format!("/api/v1/ballots/{id}");
    let send = |method: &str, origin: &str| {
        let headers = [("origin", origin), ("throng-receipt", receipt.as_str())];
        server.connect().request(method, &address, &headers, b"")
    };
    server.settle();
    let shown = send("GET", "https://evil.example");
    assert_eq!((shown.status, shown.header(ALLOW)), (200, None));
    send("DELETE", "https://evil.example").assert_problem(403, "origin_not_listed");
    assert_eq!(send("GET", LISTED).json()["status"], "counted");
    let withdrawn = send("DELETE", LISTED);
    assert!(matches!(withdrawn.status, 200 | 202) && withdrawn.header(ALLOW) == Some(LISTED), "{withdrawn:?}");
}

/// S14: a poll's pages are framed by those that it lists, and by nobody if those are in no place that a policy can name.
#[test]
fn pages_of_a_poll_are_framed_by_its_list() {
    let listed = [LISTED, "http://localhost:3000", "null"];
    for (listed, ancestors) in
        [(&listed[..], "https://ok.example http://localhost:3000"), (&["null"], "'none'"), (&[], "'none'")]
    {
        let server = server(&[("CORS_ALLOW_ORIGIN", "*")], listed);
        let refused = ballot(&server, "/polls/demo", 1, &[("accept", "text/html"), ("content-encoding", "br")]);
        assert_eq!(refused.status, 415);
        for page in [server.get("/"), server.get("/polls/demo"), refused] {
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.ends_with(&format!("; frame-ancestors {ancestors}")), "{policy}");
            assert_eq!(page.header("x-frame-options"), None, "it knows no list");
        }
        let other = server.get("/polls/open");
        assert!(other.header("content-security-policy").unwrap().ends_with("frame-ancestors 'none'"));
    }
}
