//! Texts that would be code, if they were taken for it.

use std::collections::BTreeSet;

use serde_json::Value;
use throng_domain::admin_token::Role;
use throng_domain::new_poll::NewPoll;
use throng_testkit::{Answer, NOW, TestServer};

use crate::routes::admin::Admin;
use crate::routes::crawler::{Crawled, crawl};

/// Each would run a script, or end a line, somewhere.
const TEXTS: [&str; 10] = [
    "<img src=x onerror=pwned=1>",
    "</script><script>pwned=1</script>",
    "</title><svg onload=pwned=1>",
    "\" onmouseover=\"pwned=1",
    "' autofocus onfocus='pwned=1",
    "javascript:pwned=1",
    "-->]]><!--<style>*{}</style>",
    "{{ poll.title }}{% raw %}${pwned=1}`",
    "a\ndata: pwned=1\n\nevent: x",
    "&lt;b&gt; &amp;quot; \u{2028}&#60;i",
];

/// A poll whose title, other texts and options are all of these.
pub fn hostile(slug: &str) -> NewPoll {
    let all = TEXTS.concat();
    NewPoll {
        title: TEXTS[..5].concat(),
        intro: all.clone(),
        consent: all,
        labels: TEXTS.map(str::to_owned).into(),
        ..NewPoll::demo(slug.parse().unwrap(), NOW)
    }
}

/// The names of the elements and attributes in a page of ours, whose markup is written one way only.
fn markup(page: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let without_scripts =
        page.split("<script>").map(|part| part.split_once("</script>").map_or(part, |(_, rest)| rest));
    for tag in without_scripts.flat_map(|part| part.split('<').skip(1).collect::<Vec<_>>()) {
        let tag = tag.split('>').next().unwrap();
        // Outside of quotes there are only names.
        let outside: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        names.extend(outside.split([' ', '=', '\n']).map(str::to_owned));
    }
    names
}

#[track_caller]
fn assert_harmless(request: &str, answer: &Answer, harmless: &BTreeSet<String>) {
    for (name, value) in answer.headers() {
        assert!(!value.contains("pwned"), "{request}: {name}: {value}");
    }
    let media_type = answer.header("content-type").unwrap_or_default();
    if media_type.starts_with("text/html") {
        let foreign: Vec<_> = markup(answer.text()).difference(harmless).cloned().collect();
        assert!(foreign.is_empty(), "{request}: {foreign:?} in {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
    } else if media_type.contains("json") && !answer.body.is_empty() {
        serde_json::from_slice::<Value>(&answer.body).unwrap_or_else(|error| panic!("{request}: {error}"));
    } else {
        assert!(!String::from_utf8_lossy(&answer.body).contains("pwned"), "{request}: {answer:?}");
    }
}

/// S8: in every page, header and answer of the API, a text is only ever a text.
#[test]
fn hostile_texts_are_texts_on_every_route() {
    let server = TestServer::start();
    server.create_poll(hostile("hostile"));
    server.create_poll(NewPoll {
        labels: vec!["A".to_owned(), "B".to_owned()],
        consent: "C".to_owned(),
        ..NewPoll::demo("plain".parse().unwrap(), NOW)
    });
    let form = |slug: &str, query: &str| {
        let id = "018f4d1e-7c00-7000-8000-000000000001";
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
        let body = format!("choice=1&ballot_id={id}&{query}");
        let answer = server.connect().request("POST", &format!("/polls/{slug}"), &headers, body.as_bytes());
        let path = answer.header("location").map(str::to_owned);
        let shown = path.map(|path| server.get(&path));
        [Some(answer), shown]
            .into_iter()
            .flatten()
            .map(|answer| Crawled { request: query.to_owned(), path: slug.to_owned(), answer })
            .collect()
    };
    // Voted, refused, and without the id that was used.
    let pages = |slug: &str| -> Vec<Crawled> {
        let mut pages = crawl(&server, slug);
        for query in ["", "choice=2", "choice=99", "retry=1&choice=2"] {
            let more: Vec<_> = form(slug, query);
            pages.extend(more);
        }
        pages
    };
    let is_page =
        |crawled: &&Crawled| crawled.answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let harmless = pages("plain").iter().filter(is_page).flat_map(|crawled| markup(crawled.answer.text())).collect();
    for Crawled { request, answer, .. } in &pages("hostile") {
        assert_harmless(request, answer, &harmless);
    }
    let page = server.get("/polls/hostile");
    assert!(page.text().contains("&#60;img src=x onerror=pwned=1&#62;"), "it was there: {}", page.text());
    let labels = server.get("/api/v1/polls/hostile/results").json()["options"].clone();
    let labels: Vec<_> = labels.as_array().unwrap().iter().map(|option| option["label"].as_str().unwrap()).collect();
    assert_eq!(labels, TEXTS, "and is what it was");
}

/// S8: the requests' own texts, which errors might repeat.
#[test]
fn hostile_requests_are_not_repeated_as_markup() {
    let server = TestServer::start();
    let admin = Admin::new(&server, "anna", Role::Admin);
    let evil = "%3Cscript%3Epwned=1%3C/script%3E";
    let harmless = markup(server.connect().request("GET", "/polls/absent", &[("accept", "text/html")], b"").text());
    for path in
        [format!("/polls/{evil}"), format!("/{evil}"), format!("/polls/demo{evil}/ballot"), format!("/assets/{evil}")]
    {
        let answer = server.connect().request("GET", &path, &[("accept", "text/html")], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert_harmless(&path, &answer, &harmless);
    }
    for query in ["receipt", "id", "code", "voter"] {
        let page = server.get(&format!("/polls/demo?{query}={evil}"));
        assert!(!page.text().contains("pwned=1"), "{query}: {}", page.text());
    }
    for body in [r#"{"slug":"<script>pwned=1</script>"}"#, r#"{"<script>pwned=1</script>":1}"#] {
        let answer = admin.send("POST", "/polls", &[], body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
    }
}
