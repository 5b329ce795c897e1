//! The page of a poll whose publisher names its voters.

use serde_json::json;
use throng_domain::policy::{Policy, Quota};
use throng_testkit::{NOW, TestServer, TokenSigner, polls};

use crate::pages::{assert_page, submit, voters};

/// A server with a poll of the policy `signed`, and a signer of its tokens.
fn start(ballots: u8) -> (TestServer, TokenSigner) {
    let signer = TokenSigner::hs256();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, signer.jwk())).unwrap();
    let server = TestServer::start_with(&[("VOTER_KEYS", path.to_str().unwrap())]);
    polls::create(&server, "song", |poll| {
        (poll.policy, poll.quota) = (Policy::Signed, Quota { ballots, per_option: None });
    });
    (server, signer)
}

fn token(signer: &TokenSigner, exp_s: i64) -> String {
    signer.token(&json!({"sub": "ann", "aud": "song", "exp": NOW.0 / 1_000 + exp_s}))
}

#[test]
fn page_takes_the_token_from_its_address() {
    let (server, signer) = start(1);
    let token = token(&signer, 60);
    let page = server.get(&format!("/polls/song?voter={token}"));
    assert_page(&page, 200);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"), "it is for one voter");
    assert_eq!(page.header("cdn-cache-control"), Some("no-store"));
    let field = format!(r#"<input type="hidden" name="voter" value="{token}">"#);
    assert!(page.text().contains(&field), "{}", page.text());
    let onwards = format!("content=\"0; url=/polls/song/ballot?voter={token}\"");
    assert!(page.text().contains(&onwards), "without script it leads on with the token: {}", page.text());
    let redirect = server.get(&format!("/polls/song/ballot?voter={token}"));
    let address = redirect.header("location").unwrap();
    assert!(redirect.status == 303 && address.ends_with(&format!("&voter={token}")), "{redirect:?}");
    let ballot = server.get(address);
    assert_page(&ballot, 200);
    assert!(ballot.text().contains(&field), "{}", ballot.text());
    let sent = submit(&server, "/polls/song", &format!("choice=2&voter={token}"));
    assert_eq!(sent.status, 303);
    assert!(!sent.header("location").unwrap().contains(&token), "an address after a vote may be passed on");
    let again = submit(&server, "/polls/song", &format!("choice=3&voter={token}"));
    assert_page(&again, 409);
    assert!(again.text().contains("You have already voted") && again.text().contains(r#"<li class="result own"#));
    assert_eq!(voters(&server, "song"), 1);
}

#[test]
fn page_without_a_token_says_where_to_get_one() {
    let (server, _) = start(1);
    let page = server.get("/polls/song");
    assert_page(&page, 200);
    assert!(page.header("cache-control").unwrap().contains("s-maxage=1"), "it is the same for everybody");
    assert!(page.text().contains("Only users of another site can vote in this poll"), "{}", page.text());
    assert!(page.text().contains("<button type=\"submit\" disabled>"), "{}", page.text());
    assert!(!page.text().contains("name=\"voter\"") && !page.text().contains("http-equiv"), "{}", page.text());
    for query in ["?voter=", "?voter=%22%3E%3Cscript%3E"] {
        assert_eq!(server.get(&format!("/polls/song{query}")).text(), page.text(), "{query}");
    }
    let refused = submit(&server, "/polls/song", "choice=2");
    assert_page(&refused, 403);
    assert!(refused.text().contains("know who you are"), "{}", refused.text());
    assert!(refused.text().contains(r#"value="2" checked"#), "{}", refused.text());
    assert_eq!(voters(&server, "song"), 0);
    let other = server.get("/polls/demo?voter=a.b.c");
    assert_eq!(other.text(), server.get("/polls/demo").text(), "other polls have no such field");
}

#[test]
fn page_says_what_is_wrong_with_the_token() {
    let (server, signer) = start(2);
    let expired = token(&signer, -10);
    for (token, retry, message) in [
        (expired.as_str(), "", "not counted, since this page was open for too long"),
        (&expired, "&retry=1", "Your first attempt may have been counted"),
        ("a.b.c", "", "be used for this poll"),
        ("%3Cscript%3E", "", "be used for this poll"),
    ] {
        let page = submit(&server, "/polls/song", &format!("choice=2&voter={token}{retry}"));
        assert_page(&page, 403);
        assert!(page.text().contains(message) && !page.text().contains("value=\"<script"), "{}", page.text());
    }
    let valid = token(&signer, 60);
    let invalid_choice = submit(&server, "/polls/song", &format!("voter={valid}"));
    assert_page(&invalid_choice, 422);
    assert!(invalid_choice.text().contains(&format!("name=\"voter\" value=\"{valid}\"")), "the form can be sent again");
    assert_eq!(voters(&server, "song"), 0);
}
