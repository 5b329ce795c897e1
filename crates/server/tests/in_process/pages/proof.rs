//! The page of a poll that requires a proof of work.

use throng_domain::poll::Proof;
use throng_testkit::{TestServer, polls, solve};

use crate::pages::{assert_page, submit_form, voters};

const ID: &str = "018f4d1e-7c00-7000-8000-000000000001";

#[test]
fn page_without_script_says_what_to_do() {
    let server = TestServer::start();
    polls::create(&server, "proven", |poll| poll.proof = Proof::Always);
    let page = server.get("/polls/proven");
    assert_page(&page, 200);
    let notice = "<noscript><p class=\"message\">Voting in this poll needs JavaScript";
    assert!(page.text().contains(notice), "{}", page.text());
    assert!(!page.text().contains("http-equiv"), "it leads to no page without script");
    assert!(page.text().contains("data-challenge=\"/api/v1/polls/proven/challenge\""), "{}", page.text());
    let solver = page.text().split_once("data-solver=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(server.get(solver).header("content-type"), Some("text/javascript; charset=utf-8"));
    let other = server.get("/polls/demo");
    for part in ["JavaScript", "data-challenge", "name=\"proof\""] {
        assert!(!other.text().contains(part), "{part}");
    }
}

#[test]
fn page_of_an_adaptive_poll_works_without_script() {
    let server = TestServer::start();
    polls::create(&server, "adaptive", |poll| poll.proof = Proof::Adaptive);
    let page = server.get("/polls/adaptive");
    assert_page(&page, 200);
    assert!(!page.text().contains("needs JavaScript"), "{}", page.text());
    assert!(page.text().contains("url=/polls/adaptive/ballot"), "{}", page.text());
    for part in [
        "data-proof=\"adaptive\"",
        "data-challenge=\"/api/v1/polls/adaptive/challenge\"",
        "data-solver=\"/assets/",
        "name=\"proof\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert_eq!(submit_form(&server, "/polls/adaptive", &format!("choice=2&ballot_id={ID}&proof=")).status, 303);
    assert_eq!(voters(&server, "adaptive"), 1);
}

#[test]
fn form_is_counted_with_its_proof_alone() {
    let server = TestServer::start();
    polls::create(&server, "proven", |poll| poll.proof = Proof::Always);
    for (proof, message) in [
        ("", "this poll asks your browser for a short calculation first"),
        ("&proof=", "this poll asks your browser for a short calculation first"),
        ("&proof=1.2.3", "since it was sent too late"),
    ] {
        let page = submit_form(&server, "/polls/proven", &format!("choice=2&ballot_id={ID}{proof}"));
        assert_page(&page, 428);
        assert!(page.text().contains(message), "{}", page.text());
        assert!(page.text().contains(r#"value="2" checked"#) && page.text().contains(ID), "{}", page.text());
    }
    assert_eq!(voters(&server, "proven"), 0);
    let given = server.get(&format!("/api/v1/polls/proven/challenge?ballot_id={ID}"));
    let proof = solve(given.json()["challenge"].as_str().unwrap());
    let sent = submit_form(&server, "/polls/proven", &format!("choice=2&ballot_id={ID}&proof={proof}"));
    assert_eq!(sent.status, 303);
    assert_eq!(voters(&server, "proven"), 1);
}
