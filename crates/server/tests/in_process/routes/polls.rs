//! A poll in version 1.

use throng_domain::new_poll::NewPoll;
use throng_testkit::{NOW, TestServer};

fn poll(slug: &str) -> NewPoll {
    NewPoll::demo(slug.parse().unwrap(), NOW)
}

#[test]
fn a_poll_says_what_it_asks() {
    let server = TestServer::start();
    let answer = server.get("/api/v1/polls/demo");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let poll = answer.json();
    assert_eq!(poll["slug"], "demo");
    assert_eq!(poll["state"], "open");
    assert_eq!(poll["kind"], "multiple");
    assert_eq!((poll["min_choices"].as_u64(), poll["max_choices"].as_u64()), (Some(1), Some(5)));
    assert_eq!(poll["opens_at"], "2100-01-01T00:00:00.000Z");
    assert!(poll["closes_at"].is_null());
    assert_eq!(poll["proof"], "never");
    let ids: Vec<_> = poll["options"].as_array().unwrap().iter().map(|option| option["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn it_says_nothing_about_ballots_or_the_store() {
    let server = TestServer::start();
    let before = server.get("/api/v1/polls/demo");
    server.post("/api/submit", b"[1]");
    let after = server.get("/api/v1/polls/demo");
    assert_eq!((before.text(), before.header("etag")), (after.text(), after.header("etag")));
    assert!(before.json().get("id").is_none());
}

#[test]
fn who_has_it_already_is_told_so() {
    let server = TestServer::start();
    let answer = server.get("/api/v1/polls/demo");
    let etag = answer.header("etag").unwrap().to_owned();
    assert!(answer.header("cache-control").unwrap().contains("s-maxage=1"), "{answer:?}");
    let weak = format!("W/{etag}");
    let listed = format!("\"other\", {etag}");
    for tags in [etag.as_str(), &weak, &listed, "*"] {
        let mut connection = server.connect();
        connection.send_request("GET", "/api/v1/polls/demo", &[("if-none-match", tags)], b"");
        let again = connection.head().unwrap();
        assert_eq!((again.status, again.header("etag")), (304, Some(etag.as_str())), "{tags}");
        assert!(again.header("cache-control").is_some());
        // No byte of a body came before the next answer.
        assert_eq!(connection.request("GET", "/livez", &[], b"").status, 200);
    }
    let other = server.connect().request("GET", "/api/v1/polls/demo", &[("if-none-match", "\"other\"")], b"");
    assert_eq!(other.status, 200);
}

#[test]
fn its_state_follows_the_clock_and_its_tag_the_state() {
    let server = TestServer::start();
    server.create_poll(NewPoll { opens_at: Some(NOW.plus_ms(10)), closes_at: Some(NOW.plus_ms(20)), ..poll("timed") });
    let mut tags = Vec::new();
    for (at, state) in [(0, "scheduled"), (9, "scheduled"), (10, "open"), (20, "closing"), (10_020, "end")] {
        server.clock.set(NOW.plus_ms(at));
        let state = if state == "end" { server.ended("timed") } else { state };
        let answer = server.get("/api/v1/polls/timed");
        assert_eq!(answer.json()["state"], state, "after {at} ms");
        tags.push(answer.header("etag").unwrap().to_owned());
    }
    tags.dedup();
    assert!(tags.len() >= 3, "{tags:?}");
    let states: std::collections::BTreeSet<_> = tags.iter().filter_map(|tag| tag.rsplit('-').next()).collect();
    assert_eq!(states.len(), if server.ended("timed") == "final" { 4 } else { 3 }, "{tags:?}");
}

#[test]
fn polls_of_another_process_are_seen_and_their_changes_too() {
    let server = TestServer::start();
    server.get("/api/v1/polls/late").assert_problem(404, "poll_not_found");
    server.create_poll(NewPoll { opens_at: Some(NOW.plus_ms(10)), ..poll("late") });
    assert_eq!(server.get("/api/v1/polls/late").json()["state"], "scheduled");
    server.set_window("late", Some(NOW), None);
    assert_eq!(server.get("/api/v1/polls/late").json()["state"], "open");
}

#[test]
fn a_draft_looks_like_a_poll_that_is_not_there() {
    let server = TestServer::start();
    server.create_poll(NewPoll { opens_at: None, title: "Nobody knows yet".to_owned(), ..poll("draft") });
    server.create_poll(poll("seen-after-it"));
    let same = |path: &str| {
        let [draft, absent] = ["draft", "nosuch"].map(|slug| server.get(&path.replace("{slug}", slug)));
        assert_eq!((draft.status, draft.text()), (404, absent.text()), "{path}");
        assert_eq!(draft.header("etag"), absent.header("etag"), "{path}");
    };
    for path in ["/api/v1/polls/{slug}", "/api/v1/polls/{slug}/results", "/polls/{slug}"] {
        same(path);
    }
    let ballot = br#"{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[1]}"#;
    server.post("/api/v1/polls/draft/ballots", ballot).assert_problem(404, "poll_not_found");
    server.set_window("draft", Some(NOW), None);
    assert_eq!(server.get("/api/v1/polls/draft").json()["title"], "Nobody knows yet");
}

#[test]
fn names_that_no_poll_can_have_are_polls_that_are_not_there() {
    let server = TestServer::start();
    let long = "x".repeat(10_000);
    for slug in ["nosuch", "%00", "%ff", "%20", "demo%20", "..", "%2e%2e", "%2F", "DEMO", "demo;x", "d%C3%A9mo", &long]
    {
        for rest in ["", "/results"] {
            server.get(&format!("/api/v1/polls/{slug}{rest}")).assert_problem(404, "poll_not_found");
        }
        let ballots = format!("/api/v1/polls/{slug}/ballots");
        server.post(&ballots, b"{}").assert_problem(404, "poll_not_found");
    }
    for path in
        ["/api/v1/polls", "/api/v1/polls/", "/api/v1/polls/demo/", "/api/v1/polls/demo/x", "/api/v1/polls/a/b/c"]
    {
        server.get(path).assert_problem(404, "not_found");
    }
}
