//! The pages, as a browser without JavaScript gets them.

use throng_testkit::{Answer, TestServer};

mod ballot;
mod changes;
mod codes;
mod language;
mod outcome;
mod proof;
mod receipt;
mod signed;

/// The answer to a page's form with these fields and the id of a ballot that is a new one.
fn submit(server: &TestServer, path: &str, fields: &str) -> Answer {
    let id = format!("ballot_id={}", uuid::Uuid::from_u128(rand::random()));
    let parts = [fields, id.as_str()];
    submit_form(server, path, &parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&"))
}

/// The answer to a page's form as it is.
fn submit_form(server: &TestServer, path: &str, form: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    server.connect().request("POST", path, &headers, form.as_bytes())
}

/// How many ballots a poll with open results has.
fn voters(server: &TestServer, slug: &str) -> u64 {
    server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].as_u64().unwrap()
}

/// Fails unless this is a page of that status, with the headers that every page has.
#[track_caller]
fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    // A private page's address may name a voter, or a ballot.
    let is_private = answer.header("cache-control").is_some_and(|value| value.contains("private"));
    let referrer = if is_private { "strict-origin" } else { "same-origin" };
    assert_eq!(answer.header("referrer-policy"), Some(referrer));
    let policy = answer.header("content-security-policy").unwrap();
    // A page without a poll has neither a script nor a form.
    let own =
        if status == 404 { ["", "form-action 'none'"] } else { ["script-src 'self' 'sha256-", "form-action 'self'"] };
    assert_eq!(policy.contains("script-src"), status != 404, "{policy}");
    for rule in ["default-src 'none'", "frame-ancestors 'none'"].into_iter().chain(own) {
        assert!(policy.contains(rule), "{policy}");
    }
    let page = answer.text();
    assert!(!page.contains("NaN") && !page.contains(" style=") && !page.contains("onclick"), "{page}");
}
