//! Rehearsals: load runs vote there, and nobody else.

use serde_json::{Value, json};
use throng_domain::admin_token::Role;
use throng_testkit::{Answer, NOW, TestServer};

use crate::routes::admin::Admin;

const BALLOTS: &str = "/api/v1/polls/test/ballots";

/// A server with an open rehearsal, whose result nobody sees, and a pass for it.
fn server(settings: &[(&str, &str)]) -> (TestServer, String) {
    let server = TestServer::start_with(settings);
    let admin = Admin::new(&server, "anna", Role::Editor);
    let created = admin.post("/polls", &rehearsal("test"));
    assert_eq!((created.status, &created.json()["rehearsal"]), (201, &json!(true)), "{created:?}");
    let pass = pass(&admin, "test");
    (server, pass)
}

fn rehearsal(slug: &str) -> Value {
    json!({"slug": slug, "title": "Best song?", "options": ["Alpha", "Beta"], "results": "never", "opens_at": "now",
        "rehearsal": true})
}

fn pass(admin: &Admin<'_>, slug: &str) -> String {
    let made = admin.post(&format!("/polls/{slug}/pass"), &json!({"expires_at": "+1h"}));
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.json()["expires_at"], "2100-01-01T01:00:00.000Z");
    made.json()["pass"].as_str().unwrap().to_owned()
}

fn vote(server: &TestServer, path: &str, pass: Option<&str>, id: u64) -> Answer {
    let ballot = json!({"choices": [1], "ballot_id": uuid::Uuid::from_u64_pair(7, id)}).to_string();
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(pass.map(|pass| ("throng-rehearsal", pass)));
    server.connect().request("POST", path, &headers, ballot.as_bytes())
}

fn get(server: &TestServer, path: &str, pass: &str) -> Answer {
    server.settle();
    server.connect().request("GET", path, &[("throng-rehearsal", pass)], b"")
}

#[test]
fn voters_are_refused_everywhere() {
    // Even where it is called the default poll.
    let (server, _) = server(&[("APP_ENV", "prod"), ("APP_SECRET", &"s".repeat(32)), ("DEFAULT_POLL", "test")]);
    vote(&server, BALLOTS, None, 1).assert_problem(403, "rehearsal");
    for path in ["", "/results", "/challenge?ballot_id=018f4d1e-7c00-7000-8000-000000000001"] {
        server.get(&format!("/api/v1/polls/test{path}")).assert_problem(403, "rehearsal");
    }
    server.post("/api/submit", b"[1]").assert_problem(404, "poll_not_found");
    server.get("/api/result").assert_problem(404, "poll_not_found");
    let html = [("accept", "text/html")];
    for path in ["/polls/test", "/polls/test/ballot"] {
        let page = server.connect().request("GET", path, &html, b"");
        assert_eq!(page.status, 403, "{page:?}");
        assert!(page.text().contains("<h1>This is a rehearsal</h1>"), "{}", page.text());
        assert!(!page.text().contains("Alpha") && !page.text().contains("Best song"), "{}", page.text());
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    assert_eq!(server.connect().request("GET", "/", &html, b"").status, 404);
    let form = [("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
    let sent = b"choice=1&ballot_id=018f4d1e-7c00-7000-8000-000000000001";
    assert_eq!(server.connect().request("POST", "/polls/test", &form, sent).status, 403);
    assert_eq!(server.metric("throng_ballots_refused_total{reason=\"rehearsal\"}"), 2);
    assert_eq!(Admin::new(&server, "eve", Role::Viewer).get("/polls/test/results")["voters"], 0);
}

#[test]
fn load_with_a_pass_is_counted_and_shown_as_a_rehearsal() {
    // A load run comes from one network.
    let (server, pass) = server(&[("VOTES_PER_NETWORK", "10")]);
    for id in 0..30 {
        let voted = vote(&server, BALLOTS, Some(&pass), id);
        assert_eq!(voted.status, server.taken(), "{voted:?}");
    }
    let poll = get(&server, "/api/v1/polls/test", &pass);
    assert_eq!((&poll.json()["rehearsal"], poll.header("cache-control")), (&json!(true), Some("no-store")));
    let results = get(&server, "/api/v1/polls/test/results", &pass);
    assert_eq!((&results.json()["rehearsal"], &results.json()["voters"]), (&json!(true), &json!(30)), "{results:?}");
    assert_eq!(results.header("cache-control"), Some("no-store"));
    let page = get(&server, "/polls/test", &pass);
    assert!(page.text().contains("REHEARSAL: nobody votes here"), "{}", page.text());
    assert_eq!(page.header("cdn-cache-control"), Some("no-store"));

    let admin = Admin::new(&server, "ben", Role::Editor);
    assert_eq!(admin.get("/polls/test/results")["rehearsal"], true);
    let csv = admin.send("GET", "/polls/test/ballots", &[], "");
    assert!(csv.text().starts_with("ballot_id,accepted_at,choices,policy,rehearsal\n"), "{}", csv.text());
    assert_eq!(csv.text().matches(",rehearsal\n").count(), 31);
    let lines = admin.send("GET", "/polls/test/ballots?format=ndjson", &[], "");
    assert_eq!(lines.text().matches(r#""rehearsal":true}"#).count(), 30);
    // What isn't one says nothing of it.
    assert_eq!(server.get("/api/v1/polls/demo").json()["rehearsal"], false);
    assert_eq!(server.get("/api/v1/polls/demo/results").json()["rehearsal"], Value::Null);
}

#[test]
fn pass_is_for_one_rehearsal_until_it_expires() {
    let (server, pass) = server(&[]);
    let admin = Admin::new(&server, "ben", Role::Editor);
    admin.post("/polls", &rehearsal("other"));
    vote(&server, "/api/v1/polls/other/ballots", Some(&pass), 1).assert_problem(403, "rehearsal");
    vote(&server, BALLOTS, Some("1.x"), 1).assert_problem(403, "rehearsal");
    // Where voters vote, nobody looks at it.
    assert_eq!(vote(&server, "/api/v1/polls/demo/ballots", Some(&pass), 1).status, server.taken());
    server.clock.set(NOW.plus_ms(3_600_000));
    vote(&server, BALLOTS, Some(&pass), 2).assert_problem(403, "rehearsal");

    admin.post("/polls/demo/pass", &json!({"expires_at": "+1h"})).assert_problem(409, "not_a_rehearsal");
    admin.post("/polls/test/pass", &json!({"expires_at": "+8d"})).assert_problem(422, "invalid_body");
    admin.post("/polls/test/pass", &json!({"expires_at": "2020-01-01T00:00:00Z"})).assert_problem(422, "invalid_body");
    admin.post("/polls/nothing/pass", &json!({"expires_at": "+1h"})).assert_problem(404, "poll_not_found");
}

#[test]
fn nothing_becomes_a_rehearsal_or_stops_being_one() {
    let (server, _) = server(&[]);
    let admin = Admin::new(&server, "ben", Role::Editor);
    let mut poll = rehearsal("test");
    poll["rehearsal"] = json!(false);
    admin.send("PUT", "/polls/test", &[], &poll.to_string()).assert_problem(409, "rehearsal_fixed");
    let mut other = rehearsal("song");
    other["rehearsal"] = json!(false);
    assert_eq!(admin.post("/polls", &other).status, 201);
    admin.send("PUT", "/polls/song", &[], &rehearsal("song").to_string()).assert_problem(409, "rehearsal_fixed");
    let patch = admin.send("PATCH", "/polls/song", &[("if-match", "*")], r#"{"rehearsal":true}"#);
    patch.assert_problem(422, "invalid_body");
    assert_eq!(admin.get("/polls/song")["rehearsal"], false);
    assert_eq!(admin.get("/polls/test")["rehearsal"], true);
}
