//! Requests to every route that there is, and what their answers have in common.

use std::collections::BTreeSet;

use throng_domain::admin_token::Role;
use throng_domain::new_poll::NewPoll;
use throng_testkit::{Answer, ApiDescription, NOW, TestServer};

use crate::routes::admin::{self, Admin};

/// Every route but those of administration, for a poll whose slug takes the place of `{slug}`.
const PATHS: [&str; 18] = [
    "/",
    "/polls/{slug}",
    "/polls/{slug}/ballot",
    "/shows/{slug}",
    "/assets/{name}",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/metrics",
    "/api/submit",
    "/api/result",
    "/api/v1/ballots/{ballot_id}",
    "/api/v1/polls/{slug}",
    "/api/v1/polls/{slug}/ballots",
    "/api/v1/polls/{slug}/challenge",
    "/api/v1/polls/{slug}/results",
    "/api/v1/shows/{slug}",
];

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const ID: &str = "018f4d1e-7c00-7000-8000-0000000000aa";

/// What else may be in a request.
const HEADERS: [&[(&str, &str)]; 6] = [
    &[],
    &[("accept", "text/html")],
    &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
    &[("origin", "null")],
    &[("if-none-match", "*")],
    &[("access-control-request-method", "POST"), ("origin", "https://evil.example")],
];

/// An answer to one of these requests.
pub struct Crawled {
    /// The request, in words.
    pub request: String,
    /// Its path.
    pub path: String,
    /// What came.
    pub answer: Answer,
}

impl Crawled {
    /// The answer as a text in which nothing is left out but the time and what is made at random: ids, and what is signed with them.
    pub fn essence(&self) -> String {
        let hidden = |name: &str, value: &str| match name {
            "date" | "x-request-id" => String::new(),
            "location" | "set-cookie" | "throng-receipt" => format!("{} characters", value.len()),
            _ => value.to_owned(),
        };
        let headers: Vec<_> = self.answer.headers().iter().map(|(name, value)| (name, hidden(name, value))).collect();
        let body = String::from_utf8_lossy(&self.answer.body);
        // Signed with the secret of an installation, of which each server behind a broker is one here.
        let body =
            match body.split_once(r#""receipt":""#).and_then(|(start, rest)| Some((start, rest.split_once('"')?))) {
                Some((start, (receipt, rest))) => format!("{start}{} characters{rest}", receipt.len()).into(),
                None => body,
            };
        let ids: BTreeSet<_> = body.split(['"', '?', '=']).filter(|part| uuid::Uuid::try_parse(part).is_ok()).collect();
        let body = ids.iter().fold(body.to_string(), |body, id| if *id == ID { body } else { body.replace(id, "ID") });
        format!("{} {headers:?} {body}", self.answer.status)
    }
}

/// Sends every kind of request to every public route, about the poll with this slug, and to those of administration without a token.
pub fn crawl(server: &TestServer, slug: &str) -> Vec<Crawled> {
    let mut crawled = Vec::new();
    let own = PATHS.iter().map(|path| path.replace("{slug}", slug).replace("{ballot_id}", ID));
    let administration =
        admin::ROUTES.iter().map(|(_, path, _)| format!("/api/v1/admin{}", path.replace("demo", slug)));
    let unknown = ["/nothing", "/api/nothing", "/polls/", "/api/v1/polls/"].map(str::to_owned);
    let queries = ["?id=x&receipt=1", "?code=0123456789abcdef", "?voter=x.y.z", "?ballot_id=x"];
    let pages = queries.map(|query| format!("/polls/{slug}{query}"));
    let challenge = format!("/api/v1/polls/{slug}/challenge?ballot_id={ID}");
    for path in own.chain(administration).chain(unknown).chain(pages).chain([challenge]) {
        let path = path.replace("{name}", "poll-0000000000000000.css");
        for method in METHODS {
            for headers in HEADERS {
                // What isn't a ballot on any route.
                let body = if method == "POST" { &br#"{"choices":[999]}"#[..] } else { b"" };
                let answer = server.connect().request(method, &path, headers, body);
                crawled.push(Crawled { request: format!("{method} {path} {headers:?}"), path: path.clone(), answer });
            }
        }
    }
    crawled
}

/// Fails unless the answers to two crawls are the same, byte for byte, but for these paths.
#[track_caller]
pub fn assert_same(one: &[Crawled], other: &[Crawled], except: &[&str]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        if !except.contains(&one.path.as_str()) {
            assert_eq!(one.essence(), other.essence(), "{} and {}", one.request, other.request);
        }
    }
}

/// A route that is added has to be crawled, too.
#[test]
fn every_route_is_crawled() {
    let pages = [include_str!("../../../src/http/pages/mod.rs"), include_str!("../../../src/http/docs/mod.rs")];
    let routes = |source: &'static str| source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let pages = pages.into_iter().flat_map(routes);
    // Those of administration are `admin::ROUTES`, which a test of the description compares with it.
    let described = ApiDescription::get().operations();
    let described = described.iter().map(|operation| operation.path).filter(|path| !path.starts_with("/api/v1/admin/"));
    let declared: BTreeSet<_> = pages.chain(described).collect();
    assert_eq!(declared, PATHS.into_iter().collect());
}

/// S14: nothing is framed but a poll's pages, by the pages that it lists.
#[test]
fn nothing_but_a_polls_page_is_framed() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", "*")]);
    let listed = ["https://ok.example".parse().unwrap()].into_iter().collect();
    server.create_poll(NewPoll { allowed_origins: listed, ..NewPoll::demo("listing".parse().unwrap(), NOW) });
    let mut answers: Vec<_> = ["demo", "listing", "absent"].into_iter().flat_map(|slug| crawl(&server, slug)).collect();
    let admin = Admin::new(&server, "anna", Role::Admin);
    for (method, path, _) in admin::ROUTES {
        let answer = admin.send(method, path, &[], "");
        answers.push(Crawled { request: format!("{method} {path}, with a token"), path: path.to_owned(), answer });
    }
    let own_style = server.get("/").text().split('"').find(|path| path.ends_with(".css")).unwrap().to_owned();
    answers.push(Crawled { request: "its style".to_owned(), path: own_style.clone(), answer: server.get(&own_style) });
    for Crawled { request, path, answer } in &answers {
        let policies: Vec<_> = answer.headers().iter().filter(|(name, _)| name == "content-security-policy").collect();
        let [(_, policy)] = policies[..] else { panic!("{request}: {answer:?}") };
        let is_page =
            path.starts_with("/polls/listing") && answer.header("content-type") == Some("text/html; charset=utf-8");
        let is_of_poll = is_page && policy.contains("script-src");
        let ancestors = if is_of_poll { "https://ok.example" } else { "'none'" };
        let found = policy.split("frame-ancestors ").nth(1);
        assert_eq!(found, Some(ancestors), "{request}: {policy}");
    }
    let framed = answers
        .iter()
        .filter(|crawled| crawled.answer.header("content-security-policy").unwrap().contains("ok.example"));
    assert!(framed.count() > 10, "the poll's pages are among them");
}

/// S20: by no route, method or header is it told whether there is a draft.
#[test]
fn drafts_and_absent_polls_look_alike_on_every_route() {
    const TITLE: &str = "Nobody knows yet?";
    let listed = || ["https://ok.example".parse().unwrap()].into_iter().collect();
    for settings in [&[("CORS_ALLOW_ORIGIN", "*")][..], &[("APP_ENV", "prod"), ("DEFAULT_POLL", "secret")]] {
        let server = TestServer::start_with(settings);
        let draft =
            NewPoll { opens_at: None, title: TITLE.to_owned(), ..NewPoll::demo("secret".parse().unwrap(), NOW) };
        server.create_poll(NewPoll { allowed_origins: listed(), ..draft });
        // The draft is known by now.
        server.create_poll(NewPoll::demo("public".parse().unwrap(), NOW));
        let (draft, absent) = (crawl(&server, "secret"), crawl(&server, "absent"));
        assert_same(&draft, &absent, &["/metrics"]);
        assert!(draft.iter().all(|crawled| !String::from_utf8_lossy(&crawled.answer.body).contains(TITLE)));
        let vote = |slug: &str| {
            let body = format!(r#"{{"ballot_id":"{ID}","choices":[1]}}"#);
            let path = format!("/api/v1/polls/{slug}/ballots");
            let answer =
                server.connect().request("POST", &path, &[("content-type", "application/json")], body.as_bytes());
            Crawled { request: path.clone(), path, answer }
        };
        vote("secret").answer.assert_problem(404, "poll_not_found");
        assert_same(&[vote("secret")], &[vote("absent")], &[]);
    }
}
