//! Shows: what receivers rely on for many years, and how administrators make them.

use serde_json::{Value, json};
use throng_domain::admin_token::Role;
use throng_testkit::{Answer, NOW, TestServer, eventually};

use crate::routes::admin::Admin;

const PAGE: &str = include_str!("../../../../../docs/shows-api.md");

fn poll(slug: &str, opens_at: Option<&str>) -> Value {
    let mut poll = json!({"slug": slug, "title": format!("How good was {slug}?"), "options": ["A", "B"]});
    if let Some(opens_at) = opens_at {
        (poll["opens_at"], poll["closes_at"]) = (json!(opens_at), json!("+5m"));
    }
    poll
}

/// A server with a show of two polls, the first of which is open for another 4 minutes, and a draft between them.
fn server() -> TestServer {
    let server = TestServer::start_with(&[("PUBLIC_URL", "https://vote.example")]);
    let admin = Admin::new(&server, "anna", Role::Editor);
    for (slug, opens_at) in [("song-1", Some("+1m")), ("draft", None), ("song-2", Some("+10m"))] {
        assert_eq!(admin.post("/polls", &poll(slug, opens_at)).status, 201);
    }
    let polls = json!(["song-1", "draft", "song-2"]);
    let created = admin.post("/shows", &json!({"slug": "finale", "title": "The finale", "polls": polls}));
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/admin/shows/finale")), "{created:?}");
    server.clock.set(NOW.plus_ms(120_000));
    server
}

fn show(server: &TestServer) -> Value {
    server.get("/api/v1/shows/finale").json()
}

/// The status, the headers that are promised, and the body.
fn text(answer: &Answer) -> String {
    let promised = ["content-type", "cache-control", "etag"];
    let headers = promised.map(|name| format!("{name}: {}\n", answer.header(name).unwrap_or_default())).concat();
    format!("HTTP/1.1 {} OK\n{headers}\n{}", answer.status, answer.text())
}

#[test]
fn response_is_the_one_in_the_docs_byte_for_byte() {
    let (_, documented) = PAGE.split_once("\n```http\nHTTP/1.1 200 OK\n").expect("the page has the response");
    let (documented, _) = documented.split_once("\n```").unwrap();
    let server = server();
    let answer = server.get("/api/v1/shows/finale");
    assert_eq!(text(&answer), format!("HTTP/1.1 200 OK\n{documented}"));
    let etag = answer.header("etag").unwrap();
    let again = server.connect().request("GET", "/api/v1/shows/finale", &[("if-none-match", etag)], b"");
    assert_eq!((again.status, again.text()), (304, ""));
}

#[test]
fn current_poll_follows_the_clock() {
    let server = server();
    let at = |minutes: i64| {
        server.clock.set(NOW.plus_ms(minutes * 60_000));
        let show = show(&server);
        let states: Vec<_> = show["polls"].as_array().unwrap().iter().map(|poll| poll["state"].clone()).collect();
        (show["current"].clone(), states)
    };
    assert_eq!(at(2), (json!("song-1"), vec![json!("open"), json!("scheduled")]));
    assert_eq!(at(6).0, json!("song-2"));
    assert_eq!(at(10), (json!("song-2"), at(10).1));
    assert_eq!(at(12).1[1], "open");
    assert_eq!(at(15).0, json!("song-2"));
    assert!(["closing", "final"].map(Value::from).contains(&at(15).1[1]));
}

#[test]
fn drafts_and_rehearsals_do_not_appear() {
    let server = server();
    let admin = Admin::new(&server, "anna", Role::Editor);
    let mut rehearsal = poll("test", Some("now"));
    rehearsal["rehearsal"] = json!(true);
    assert_eq!(admin.post("/polls", &rehearsal).status, 201);
    let refused = admin.post("/shows", &json!({"slug": "other", "title": "x", "polls": ["test", "nothing"]}));
    refused.assert_problem(422, "invalid_show");
    assert_eq!(refused.json()["faults"].as_array().unwrap().len(), 2);
    // A draft whose slug a rehearsal gets later.
    assert_eq!(admin.send("DELETE", "/polls/draft", &[("if-match", "*")], "").status, 204);
    rehearsal["slug"] = json!("draft");
    assert_eq!(admin.post("/polls", &rehearsal).status, 201);
    let shown = show(&server);
    assert_eq!(shown["polls"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(shown["current"], "song-1");
    assert!(!server.get("/shows/finale").text().contains("draft"));
    // It says nothing of who asks, and pages of other sites may read it.
    let asked = [("origin", "https://other.example"), ("cookie", "throng=x")];
    let answer = server.connect().request("GET", "/api/v1/shows/finale", &asked, b"");
    assert_eq!((answer.header("set-cookie"), answer.header("access-control-allow-origin")), (None, Some("*")));
    server.get("/api/v1/shows/nothing").assert_problem(404, "show_not_found");
    server.get("/api/v1/shows/%ff").assert_problem(404, "show_not_found");
}

#[test]
fn shows_are_made_changed_and_deleted() {
    let server = server();
    let admin = Admin::new(&server, "anna", Role::Editor);
    let again = admin.post("/shows", &json!({"slug": "finale", "title": "x", "polls": []}));
    again.assert_problem(409, "conflict");
    admin
        .post("/shows", &json!({"slug": "x", "title": "", "polls": ["song-1", "song-1"]}))
        .assert_problem(422, "invalid_show");
    admin.post("/shows", &json!({"slug": "x", "title": "x"})).assert_problem(422, "invalid_body");
    let stored = admin.send("GET", "/shows/finale", &[], "");
    assert_eq!((stored.header("etag"), &stored.json()["polls"][1]), (Some("\"1\""), &json!("draft")));
    let patch = |tag: &str, body: &str| admin.send("PATCH", "/shows/finale", &[("if-match", tag)], body);
    admin.send("PATCH", "/shows/finale", &[], "{}").assert_problem(428, "if_match_required");
    patch("\"2\"", r#"{"title":"Other"}"#).assert_problem(412, "version_mismatch");
    let changed = patch("\"1\"", r#"{"polls":["song-2"]}"#);
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{changed:?}");
    // At once, here.
    assert_eq!(show(&server)["polls"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/shows")["shows"][0]["title"], "The finale");
    assert_eq!(admin.send("DELETE", "/shows/finale", &[("if-match", "\"2\"")], "").status, 204);
    server.get("/api/v1/shows/finale").assert_problem(404, "show_not_found");
    admin.send("GET", "/shows/finale", &[], "").assert_problem(404, "show_not_found");
    let log = admin.get("/audit?limit=4").to_string();
    assert!(["create_show", "edit_show", "delete_show"].iter().all(|action| log.contains(action)), "{log}");
}

#[test]
fn page_shows_the_current_poll_and_follows_the_show() {
    let server = server();
    let page = || server.get("/shows/finale");
    let open = page();
    assert_eq!(open.status, 200, "{open:?}");
    assert!(open.text().contains("<h1>How good was song-1?</h1>") && open.text().contains("<form"), "{}", open.text());
    assert!(open.text().contains(r#"data-show="/api/v1/shows/finale" data-shown="song-1 open""#), "{}", open.text());
    assert_eq!(open.header("cdn-cache-control"), Some("public, max-age=1, stale-while-revalidate=5"));
    server.clock.set(NOW.plus_ms(360_000));
    assert!(page().text().contains(r#"data-shown="song-2 scheduled""#), "{}", page().text());
    assert!(page().text().contains("This poll is not open yet"));
    assert!(!server.get("/polls/song-1").text().contains("data-show"));
    let moved = server.get("/shows/FINALE/");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/shows/finale")));
    let missing = server.connect().request("GET", "/shows/nothing", &[("accept", "text/html")], b"");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("There is nothing here"), "{}", missing.text());

    let admin = Admin::new(&server, "anna", Role::Editor);
    admin.post("/shows", &json!({"slug": "later", "title": "Later", "polls": ["draft"]}));
    let empty = server.get("/shows/later");
    assert!(empty.text().contains("<h1>Later</h1>") && empty.text().contains(r#"data-shown="""#), "{}", empty.text());
    assert!(empty.header("content-security-policy").unwrap().contains("connect-src 'self'"));
    assert_eq!(
        server.get("/api/v1/shows/later").text(),
        r#"{"slug":"later","title":"Later","current":null,"polls":[]}"#
    );
}

#[test]
fn show_that_another_process_makes_is_seen() {
    let server = server();
    let show = throng_domain::show::Show {
        slug: "other".parse().unwrap(),
        title: "Other".to_owned(),
        polls: vec!["demo".parse().unwrap()],
        version: 1,
    };
    server.database.with_store(async |store| {
        store.put_show(&show, &throng_domain::audit::Author::THRONG).await.unwrap();
    });
    let seen = || Some(server.get("/api/v1/shows/other")).filter(|answer| answer.status == 200);
    assert_eq!(eventually("the server sees the show", seen).json()["current"], "demo");
}
