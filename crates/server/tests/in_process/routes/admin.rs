//! Administration over HTTP: who may, and what it does.

use serde_json::{Value, json};
use throng::access::create_token;
use throng_domain::admin_token::Role;
use throng_domain::audit::Author;
use throng_domain::poll::OptionId;
use throng_domain::tally::TallyChange;
use throng_testkit::{Answer, NOW, TestServer, eventually};

/// Every route, with a method that it has, and the lowest role that may use it.
pub const ROUTES: [(&str, &str, Role); 35] = [
    ("GET", "/token", Role::Viewer),
    ("GET", "/audit", Role::Viewer),
    ("GET", "/polls", Role::Viewer),
    ("GET", "/polls/demo", Role::Viewer),
    ("GET", "/polls/demo/results", Role::Viewer),
    ("GET", "/shows", Role::Viewer),
    ("GET", "/shows/finale", Role::Viewer),
    ("POST", "/shows", Role::Editor),
    ("PATCH", "/shows/finale", Role::Editor),
    ("DELETE", "/shows/finale", Role::Editor),
    ("POST", "/polls", Role::Editor),
    ("PUT", "/polls/demo", Role::Editor),
    ("PATCH", "/polls/demo", Role::Editor),
    ("DELETE", "/polls/demo", Role::Editor),
    ("POST", "/polls/demo/open", Role::Editor),
    ("POST", "/polls/demo/close", Role::Editor),
    ("POST", "/polls/demo/archive", Role::Editor),
    ("POST", "/polls/demo/unarchive", Role::Editor),
    ("GET", "/polls/demo/ballots", Role::Editor),
    ("GET", "/polls/demo/recount", Role::Editor),
    ("POST", "/polls/demo/recount", Role::Editor),
    ("GET", "/polls/demo/record", Role::Editor),
    ("POST", "/polls/demo/pass", Role::Editor),
    ("POST", "/polls/demo/voids", Role::Editor),
    ("DELETE", "/polls/demo/voids/1", Role::Editor),
    ("GET", "/polls/demo/codes", Role::Editor),
    ("POST", "/polls/demo/codes", Role::Editor),
    ("DELETE", "/polls/demo/codes/batch-1", Role::Editor),
    ("GET", "/tokens", Role::Admin),
    ("POST", "/tokens", Role::Admin),
    ("DELETE", "/tokens/9", Role::Admin),
    ("GET", "/webhooks", Role::Admin),
    ("POST", "/webhooks", Role::Admin),
    ("DELETE", "/webhooks/9", Role::Admin),
    ("POST", "/webhooks/9/test", Role::Admin),
];

/// An administrator's client.
pub struct Admin<'a> {
    server: &'a TestServer,
    pub authorization: String,
}

impl<'a> Admin<'a> {
    pub fn new(server: &'a TestServer, name: &str, role: Role) -> Self {
        let text = server.database.with_store(async |store| {
            let name = name.parse().unwrap();
            create_token(&*store, name, role, None, rand::random(), &Author::THRONG).await.unwrap().1
        });
        Self { server, authorization: format!("Bearer {text}") }
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("authorization", self.authorization.as_str())];
        if !body.is_empty() {
            all.push(("content-type", "application/json"));
        }
        all.extend(headers);
        self.server.settle();
        self.server.connect().request(method, &format!("/api/v1/admin{path}"), &all, body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], &body.to_string())
    }
}

/// A ballot with an id of its own.
fn ballot(fields: &Value) -> Vec<u8> {
    let mut ballot = fields.clone();
    ballot["ballot_id"] = json!(uuid::Uuid::from_u128(rand::random()));
    ballot.to_string().into_bytes()
}

fn song() -> Value {
    json!({"slug": "song", "title": "Best song?", "options": ["Alpha", "Beta"], "results": "never"})
}

/// S11: without a token of the right role nothing is reached, whatever is asked for; and no page of another site is told anything.
#[test]
fn every_route_is_closed_by_default() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", "*")]);
    let roles = [Role::Viewer, Role::Editor, Role::Admin];
    let known = roles.map(|role| (role, Admin::new(&server, role.as_str(), role)));
    let unknown = [("GET", "/nothing"), ("GET", "/polls/demo/nothing"), ("OPTIONS", "/polls"), ("TRACE", "/polls")];
    let routes = ROUTES.iter().map(|(method, path, _)| (*method, *path)).chain(unknown);
    for (minute, (method, path)) in (0..).zip(routes) {
        // Invalid tokens are limited to 30 a minute.
        server.clock.set(NOW.plus_ms(minute * 60_000));
        let address = format!("/api/v1/admin{path}");
        let voter =
            [("cookie", "__Host-throng=x; throng=x"), ("throng-voter", "x"), ("origin", "https://evil.example")];
        for headers in [&voter[..2], &[("authorization", "Basic YTpi")], &[("authorization", "Bearer throng_1_x")], &[]]
        {
            let answer = server.connect().request(method, &address, headers, b"");
            assert_eq!(answer.status, 401, "{method} {path} {headers:?}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        }
        let answer = server.connect().request(method, &address, &voter, b"");
        assert!(matches!(answer.status, 401 | 403), "{method} {path}: {answer:?}");
        let shared = answer.headers().iter().find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(shared, None, "{method} {path}");
    }
    for (method, path, needed) in ROUTES {
        for (role, admin) in &known {
            let answer = admin.send(method, path, &[], "");
            let is_refused = answer.status == 403;
            assert_eq!(is_refused, !role.includes(needed), "{method} {path} {role:?}: {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        }
    }
}

#[test]
fn a_poll_is_made_opened_and_closed() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    let created = anna.post("/polls?reason=spring", &song());
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/admin/polls/song")), "{created:?}");
    assert_eq!(created.json()["state"], "draft");
    assert_eq!(anna.post("/polls", &song()).json()["code"], "slug_taken");
    assert_eq!(server.get("/api/v1/polls/song").status, 404, "a draft isn't public");

    let opened = anna.post("/polls/song/open", &json!({"closes_at": "+2h"}));
    assert_eq!((opened.status, &opened.json()["state"]), (200, &json!("open")), "{opened:?}");
    // At once, here.
    let voted = server.post("/api/v1/polls/song/ballots", &ballot(&json!({"choices": [2]})));
    assert_eq!(voted.status, server.taken(), "{voted:?}");
    assert_eq!(server.get("/api/v1/polls/song/results").status, 403);
    let results = anna.get("/polls/song/results");
    assert_eq!((&results["voters"], &results["options"][1]["count"]), (&json!(1), &json!(1)));
    assert_eq!(anna.get("/polls/song/recount")["equal"], true);
    assert_eq!(anna.post("/polls/song/open", &json!({})).json()["code"], "invalid_window");

    anna.send("GET", "/polls/song/record", &[], "").assert_problem(409, "not_final");
    let closed = anna.post("/polls/song/close", &json!({}));
    assert_eq!((closed.status, &closed.json()["state"]), (200, &json!("closing")), "{closed:?}");
    assert_eq!(
        server.post("/api/v1/polls/song/ballots", &ballot(&json!({"choices": [2]}))).json()["code"],
        "poll_closed"
    );
    let log = anna.get("/audit?poll=song");
    let noted: Vec<_> = log["changes"].as_array().unwrap().iter().map(|it| [&it["action"], &it["author"]]).collect();
    assert_eq!(noted, [["close", "anna#1@api"], ["open", "anna#1@api"], ["create", "anna#1@api"]]);
    assert_eq!(log["changes"][2]["reason"], "spring");
    assert_eq!(anna.get("/audit?poll=song&limit=1&before=1")["changes"], json!([]));
}

/// A repaired result is what everybody sees, at once.
#[test]
fn repaired_tallies_are_shown_to_all() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    server.vote(b"[1]");
    server.settle();
    let spoiled = server.database.with_store(async |store| {
        let poll = store.poll(&"demo".parse().unwrap()).await.unwrap().unwrap();
        let more = TallyChange { counts: vec![(OptionId(1), 5)], voters: 5, ..TallyChange::none(poll.id) };
        store.change_tallies(&more).await.unwrap().voters
    });
    assert_eq!(spoiled, 6);
    server.vote(b"[1]");
    eventually("the spoiled result is shown", || (server.voters() == 7).then_some(()));
    assert_eq!(anna.get("/polls/demo/recount")["equal"], false);
    let repaired = anna.send("POST", "/polls/demo/recount", &[], "");
    assert_eq!((repaired.status, &repaired.json()["repaired"]), (200, &json!(true)), "{repaired:?}");
    eventually("the repaired result is shown", || (server.voters() == 2).then_some(()));
}

#[test]
fn an_edit_needs_the_version_it_changes() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    let created = anna.post("/polls", &song());
    let etag = created.header("etag").unwrap();
    let patch =
        r#"{"title": "Which song?", "labels": {"1": "Alef"}, "add_options": ["Gamma"], "quota": {"per_option": null}}"#;
    let edit = |if_match: &[(&str, &str)], body| anna.send("PATCH", "/polls/song", if_match, body);
    assert_eq!(edit(&[], patch).json()["code"], "if_match_required");
    edit(&[("if-match", "x")], patch).assert_problem(400, "invalid_header");
    edit(&[("if-match", "W/\"1\", \"of another\"")], patch).assert_problem(412, "version_mismatch");
    let edited = edit(&[("if-match", etag)], patch);
    assert_eq!((edited.status, &edited.json()["options"][0]["label"]), (200, &json!("Alef")), "{edited:?}");
    assert_eq!(edited.json()["options"][2], json!({"id": 3, "label": "Gamma"}));
    edit(&[("if-match", etag)], patch).assert_problem(412, "version_mismatch");
    let broken = edit(&[("if-match", "*")], r#"{"title": "", "max_choices": 9}"#);
    broken.assert_problem(422, "invalid_poll");
    assert!(broken.json()["faults"].as_array().unwrap().len() >= 2, "{broken:?}");
    let listed = edit(
        &[("if-match", "*")],
        r#"{"allowed_origins": ["https://ok.example:443", "null", "null"], "locale": "ja", "option_order": "shuffle"}"#,
    );
    assert_eq!(listed.json()["allowed_origins"], json!(["https://ok.example", "null"]), "{listed:?}");
    assert_eq!((&listed.json()["locale"], &listed.json()["option_order"]), (&json!("ja"), &json!("shuffle")));
    let many: Vec<_> = (0..51).map(|n| format!("https://{n}.example")).collect();
    let many = json!({"allowed_origins": many}).to_string();
    edit(&[("if-match", "*")], &many).assert_problem(422, "invalid_poll");
    for unknown in [
        r#"{"allowed_origins": ["https://ok.example/page"]}"#,
        r#"{"allowed_origins": ["*"]}"#,
        r#"{"locale": "xx"}"#,
        r#"{"votes": 999}"#,
        r#"{"is_admin": true}"#,
        r#"{"quota": {"votes": 1}}"#,
        r#"{"quota": [1]}"#,
        "[]",
        "{",
        "",
    ] {
        let refused = edit(&[("if-match", "*"), ("content-type", "application/json")], unknown);
        refused.assert_problem(422, "invalid_body");
    }
    assert_eq!(anna.send("DELETE", "/polls/song", &[], "").status, 428);
    assert_eq!(anna.send("DELETE", "/polls/song", &[("if-match", etag)], "").status, 412);
    let latest = anna.send("GET", "/polls/song", &[], "");
    let deleted = anna.send("DELETE", "/polls/song", &[("if-match", latest.header("etag").unwrap())], "");
    assert_eq!((deleted.status, deleted.text()), (204, ""));
    anna.send("GET", "/polls/song", &[], "").assert_problem(404, "poll_not_found");
}

#[test]
fn a_definition_is_applied_any_number_of_times() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    let put = |body: &Value| anna.send("PUT", "/polls/song", &[], &body.to_string());
    let first = put(&song());
    let again = put(&song());
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.header("etag"), again.header("etag"));
    let mut other = song();
    other["title"] = json!("Which song?");
    assert_eq!(put(&other).json()["title"], "Which song?");
    for (field, list) in [("quota", json!([2, 1])), ("options", json!([[1, "Alpha"], [2, "Beta"]]))] {
        let mut lists = song();
        lists[field] = list;
        put(&lists).assert_problem(422, "invalid_body");
    }
    other["slug"] = json!("tune");
    put(&other).assert_problem(422, "invalid_body");
    let stale = [("if-match", first.header("etag").unwrap())];
    for (method, path, body) in
        [("PUT", "/polls/song", song().to_string()), ("POST", "/polls/song/open", "{}".to_owned())]
    {
        anna.send(method, path, &stale, &body).assert_problem(412, "version_mismatch");
    }
    assert_eq!(anna.get("/polls/song")["state"], "draft");
}

#[test]
fn polls_are_listed_in_pages() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    for slug in ["one", "two"] {
        let poll = json!({"slug": slug, "title": "?", "options": ["A", "B"]});
        assert_eq!(anna.post("/polls", &poll).status, 201);
    }
    let slugs = |page: &Value| -> Vec<String> {
        page["polls"].as_array().unwrap().iter().map(|poll| poll["slug"].as_str().unwrap().to_owned()).collect()
    };
    let first = anna.get("/polls?limit=2");
    let second = anna.get(&format!("/polls?limit=2&after={}", first["next"]));
    assert_eq!((slugs(&first), slugs(&second)), (vec!["demo".into(), "one".into()], vec!["two".to_owned()]));
    assert_eq!(second["next"], json!(null));
    for query in ["limit=0", "limit=9999", "limit=x", "pages=1"] {
        anna.send("GET", &format!("/polls?{query}"), &[], "").assert_problem(422, "invalid_query");
    }
}

#[test]
fn void_is_shown_before_it_is_made() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    server.vote(b"[1]");
    server.vote(b"[2]");
    let rule = json!({"choices": [2]});
    let shown = anna.post("/polls/demo/voids", &rule).json();
    assert_eq!((&shown["applied"], &shown["by_this_rule"]), (&json!(false), &json!(1)), "{shown}");
    assert_eq!(shown["options"][1], json!({"id": 2, "label": "New discoveries", "before": 1, "after": 0}));
    for query in ["apply=true", "aply=true", "apply=true&raeson=x"] {
        anna.post(&format!("/polls/demo/voids?{query}"), &rule).assert_problem(422, "invalid_query");
    }
    assert_eq!(server.voters(), 2);
    let made = anna.post("/polls/demo/voids?apply=true&reason=a%20script", &rule);
    assert_eq!((made.status, &made.json()["applied"]), (200, &json!(true)), "{made:?}");
    assert_eq!(server.voters(), 1);
    assert_eq!(
        anna.get("/polls/demo")["voids"],
        json!([{"number": 1, "choices": [2], "undone": false, "applied": true}])
    );
    let csv = anna.send("GET", "/polls/demo/ballots", &[], "");
    assert_eq!(csv.text().lines().filter(|line| line.ends_with(",void")).count(), 2, "{csv:?}");
    let undone = anna.send("DELETE", "/polls/demo/voids/1?apply=true&reason=no", &[], "");
    assert_eq!(undone.status, 200, "{undone:?}");
    assert_eq!(server.voters(), 2);
    anna.post("/polls/demo/voids", &json!({})).assert_problem(409, "not_allowed");
    anna.send("DELETE", "/polls/demo/voids/7", &[], "").assert_problem(409, "not_allowed");
}

#[test]
fn ballots_are_exported_in_both_formats() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    server.vote(b"[1,3]");
    server.vote(b"[2]");
    let csv = anna.send("GET", "/polls/demo/ballots", &[], "");
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"demo.csv\""));
    let lines: Vec<_> = csv.text().lines().collect();
    assert_eq!((lines[0], lines.len()), ("ballot_id,accepted_at,choices,policy", 3));
    assert!(lines[1].ends_with("Z,1 3,unlimited"), "{csv:?}");
    let ndjson = anna.send("GET", "/polls/demo/ballots?format=ndjson", &[], "");
    assert_eq!(ndjson.header("content-type"), Some("application/x-ndjson"));
    let ballots: Vec<Value> = ndjson.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ballots.len(), &ballots[0]["choices"]), (2, &json!([1, 3])));
    anna.send("GET", "/polls/demo/ballots?format=xml", &[], "").assert_problem(422, "invalid_query");
    anna.send("GET", "/polls/none/ballots", &[], "").assert_problem(404, "poll_not_found");
}

#[test]
fn codes_are_made_once_and_revoked() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    let poll = json!({"slug": "board", "title": "?", "options": ["A", "B"], "policy": "code", "opens_at": "now"});
    assert_eq!(anna.post("/polls", &poll).status, 201);
    let made = anna.post("/polls/board/codes", &json!({"count": 2, "batch": "members"}));
    assert_eq!((made.status, made.json()["codes"].as_array().unwrap().len()), (201, 2), "{made:?}");
    let vote =
        |code: &Value| server.post("/api/v1/polls/board/ballots", &ballot(&json!({"choices": [1], "voter": code})));
    assert_eq!(vote(&made.json()["codes"][0]).status, server.taken());
    assert_eq!(anna.get("/polls/board/codes")["batches"][0]["codes"], 2);
    assert_eq!(anna.send("DELETE", "/polls/board/codes/members", &[], "").status, 200);
    vote(&made.json()["codes"][1]).assert_problem(403, "code_invalid");
    anna.send("DELETE", "/polls/board/codes/others", &[], "").assert_problem(404, "batch_not_found");
    anna.post("/polls/demo/codes", &json!({"count": 2})).assert_problem(409, "no_codes");
    anna.post("/polls/board/codes", &json!({"count": 0})).assert_problem(422, "invalid_body");
    let log = anna.get("/audit?poll=board");
    let noted: Vec<_> = log["changes"].as_array().unwrap().iter().map(|it| &it["action"]).collect();
    assert_eq!(noted, ["revoke_codes", "create_codes", "create"]);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let server = TestServer::start();
    let root = Admin::new(&server, "root", Role::Admin);
    let made = root.post("/tokens", &json!({"name": "cms", "role": "viewer", "expires_at": "+1h"}));
    assert_eq!(made.status, 201, "{made:?}");
    let (text, number) = (made.json()["token"].as_str().unwrap().to_owned(), made.json()["number"].clone());
    let cms = Admin { server: &server, authorization: format!("bearer {text}") };
    assert_eq!(cms.get("/token")["name"], "cms");
    let listed = root.get("/tokens");
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&text), "{listed}");
    assert_eq!(root.send("DELETE", &format!("/tokens/{number}"), &[], "").status, 200);
    cms.send("GET", "/token", &[], "").assert_problem(401, "token_invalid");
    root.send("DELETE", "/tokens/9", &[], "").assert_problem(404, "token_not_found");
    for number in ["x", "4294967296"] {
        root.send("DELETE", &format!("/tokens/{number}"), &[], "").assert_problem(404, "not_found");
    }
    for wrong in [json!({"name": "A", "role": "viewer"}), json!({"name": "a", "role": "owner"}), json!({"name": "a"})] {
        root.post("/tokens", &wrong).assert_problem(422, "invalid_body");
    }
    let actions = root.get("/audit?limit=2");
    assert_eq!(actions["changes"][0]["action"], "revoke_token");
    assert_eq!(actions["changes"][1]["changes"]["token"]["name"], "cms");
}

/// S13: what a page of another site can make a browser send is refused, also with a valid token.
#[test]
fn pages_of_other_sites_administer_nothing() {
    let server = TestServer::start_with(&[("CORS_ALLOW_ORIGIN", "https://ok.example")]);
    let anna = Admin::new(&server, "anna", Role::Editor);
    let own = format!("http://{}", server.address);
    let look_alike = format!("{own}.evil.example");
    for headers in [
        [("origin", "https://ok.example"), ("sec-fetch-site", "cross-site")],
        [("origin", "null"), ("x", "x")],
        [("origin", &look_alike), ("x", "x")],
        [("sec-fetch-site", "cross-site"), ("x", "x")],
        [("sec-fetch-site", "same-site"), ("origin", "http://a.example")],
    ] {
        anna.send("POST", "/polls/demo/close", &headers, "{}").assert_problem(403, "cross_site");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    let as_form = server.connect().request(
        "POST",
        "/api/v1/admin/polls",
        &[("authorization", &anna.authorization), form],
        b"slug=x",
    );
    as_form.assert_problem(415, "unsupported_media_type");
    let text = anna.send("POST", "/polls", &[("content-type", "text/plain")], "");
    text.assert_problem(415, "unsupported_media_type");
    let from_own = anna.send("POST", "/polls/demo/close", &[("origin", &own), ("sec-fetch-site", "same-origin")], "{}");
    assert_eq!(from_own.status, 200, "{from_own:?}");
}

/// S7, S22: texts are only ever texts, and bounded.
#[test]
fn hostile_texts_are_kept_as_they_are_or_refused() {
    let server = TestServer::start();
    let anna = Admin::new(&server, "anna", Role::Editor);
    let hostile = "' OR 1=1--\"); DROP TABLE poll; <img src=x onerror=alert(1)>";
    let poll = json!({"slug": "hostile", "title": hostile, "intro": hostile, "consent": hostile, "options": [hostile, "B"], "opens_at": "now"});
    let created = anna.post("/polls", &poll);
    assert_eq!((created.status, &created.json()["title"]), (201, &json!(hostile)), "{created:?}");
    assert!(!server.get("/polls/hostile").text().contains("<img"));
    for slug in ["' OR 1=1--", "a\r\nb", "..", "%00"] {
        let encoded: String = slug.bytes().map(|byte| format!("%{byte:02x}")).collect();
        anna.send("GET", &format!("/polls/{encoded}"), &[], "").assert_problem(404, "poll_not_found");
    }
    let nul = json!({"slug": "nul", "title": "a\u{0}b", "options": ["A", "B"]});
    anna.post("/polls", &nul).assert_problem(422, "invalid_poll");
    let long = json!({"slug": "long", "title": "x".repeat(10_000), "options": ["A", "B"]});
    anna.post("/polls", &long).assert_problem(422, "invalid_poll");
    let huge = json!({"slug": "huge", "title": "x".repeat(300_000), "options": ["A", "B"]});
    anna.post("/polls", &huge).assert_problem(413, "too_large");
    let many = json!({"slug": "many", "title": "?", "options": vec!["x"; 60_000]});
    anna.post("/polls", &many).assert_problem(422, "invalid_poll");
    assert_eq!(anna.get("/polls")["polls"].as_array().unwrap().len(), 2);
}

#[test]
fn ranked_poll_is_made_counted_and_exported() {
    let server = TestServer::start();
    let admin = Admin::new(&server, "anna", Role::Admin);
    let body = json!({
        "slug": "host", "title": "Where?", "options": ["Oslo", "Rome", "Riga"], "kind": "ranked",
        "counting": {"tie_break": "previous_rounds"},
    });
    let created = admin.post("/polls", &body);
    assert_eq!(created.status, 201, "{created:?}");
    let counting = json!({
        "tie_break": "previous_rounds", "batch_elimination": false, "until_two": false, "score": "mean", "score_max": 5,
    });
    assert_eq!(created.json()["counting"], counting);
    let patch = json!({"counting": {"until_two": true}}).to_string();
    let patched = admin.send("PATCH", "/polls/host", &[("if-match", "*")], &patch);
    let counting = &patched.json()["counting"];
    assert_eq!((&counting["until_two"], &counting["tie_break"]), (&json!(true), &json!("previous_rounds")));
    assert_eq!(admin.post("/polls/host/open", &json!({})).status, 200);
    let fixed = admin.send("PATCH", "/polls/host", &[("if-match", "*")], r#"{"counting":{"until_two":false}}"#);
    fixed.assert_problem(409, "poll_fixed");
    let unknown = admin.send("PATCH", "/polls/host", &[("if-match", "*")], r#"{"counting":{"coin":true}}"#);
    unknown.assert_problem(422, "invalid_body");
    for ranking in [json!([1, 2]), json!([3]), json!([1, 2])] {
        let cast = server.post("/api/v1/polls/host/ballots", &ballot(&json!({ "ranking": ranking })));
        assert_eq!(cast.status, server.taken(), "{cast:?}");
    }
    let results = admin.get("/polls/host/results");
    assert_eq!((&results["winner"], &results["voters"]), (&json!(1), &json!(3)));
    assert_eq!(admin.get("/polls/host/recount")["equal"], true);
    let blt = admin.send("GET", "/polls/host/ballots?format=blt", &[], "");
    assert_eq!(blt.text(), "3 1\n2 1 2 0\n1 3 0\n0\n\"Oslo\"\n\"Rome\"\n\"Riga\"\n\"Where?\"\n");
    assert_eq!(blt.header("content-disposition"), Some("attachment; filename=\"host.blt\""));
    assert!(admin.send("GET", "/polls/host/ballots?format=soi", &[], "").text().contains("\n2: 1,2\n1: 3\n"));
    admin.send("GET", "/polls/demo/ballots?format=blt", &[], "").assert_problem(422, "invalid_query");
    assert!(admin.send("GET", "/polls/host/ballots", &[], "").text().contains(",1>2,unlimited\n"));
}
