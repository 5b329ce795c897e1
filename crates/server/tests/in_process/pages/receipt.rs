//! What a browser that has voted is told, and nobody else.

use throng_domain::poll::Visibility;
use throng_testkit::{Answer, TestServer, polls};

use crate::pages::{assert_page, submit, voters};

/// The headers of a request whose browser came from nowhere, as with an address that was passed on.
const PASSED_ON: (&str, &str) = ("sec-fetch-site", "none");
/// Those of one that our own page led here.
const LED_HERE: (&str, &str) = ("sec-fetch-site", "same-origin");

/// The page at a vote's address, for a browser with these headers.
fn page_after(server: &TestServer, vote: &Answer, headers: &[(&str, &str)]) -> Answer {
    assert_eq!((vote.status, vote.header("cache-control")), (303, Some("no-store")), "{vote:?}");
    server.settle();
    let page = server.connect().request("GET", vote.header("location").unwrap(), headers, b"");
    assert_page(&page, 200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    page
}

fn cookie(vote: &Answer) -> &str {
    vote.header("set-cookie").unwrap().split(';').next().unwrap()
}

#[test]
fn voter_sees_the_result_with_ticks_at_the_choices() {
    let server = TestServer::start();
    let vote = submit(&server, "/polls/demo", "choice=3&choice=1&choice=3");
    assert_eq!(voters(&server, "demo"), 1);
    for site in [PASSED_ON, LED_HERE] {
        let page = page_after(&server, &vote, &[("cookie", cookie(&vote)), site]);
        assert!(page.text().contains("Thank you, your vote is"), "{}", page.text());
        assert_eq!(page.text().matches("Your choice").count(), 2);
        assert_eq!(page.text().matches("100%</span>").count(), 2);
        assert_eq!(page.text().matches("width=\"100%\"").count(), 2);
    }
}

#[test]
fn others_see_the_ballot_at_a_voters_address() {
    let server = TestServer::start();
    let vote = submit(&server, "/polls/demo", "choice=3&choice=1");
    let other = submit(&server, "/polls/demo", "choice=2");
    for headers in [&[PASSED_ON][..], &[("sec-fetch-site", "cross-site")], &[PASSED_ON, ("cookie", cookie(&other))]] {
        let page = page_after(&server, &vote, headers);
        assert!(page.text().contains("<form") && !page.text().contains(" checked"), "{}", page.text());
        let outside = page.text().split_once("<template>").unwrap().0;
        assert!(!outside.contains("Thank you") && !outside.contains("Your choice"), "{outside}");
    }
}

#[test]
fn browser_without_cookies_sees_the_result_without_ticks() {
    let server = TestServer::start();
    let vote = submit(&server, "/polls/demo", "choice=3");
    for (headers, heading) in [(&[LED_HERE][..], "Thank you, your vote is"), (&[], "The result so far")] {
        let page = page_after(&server, &vote, headers);
        assert!(page.text().contains(heading) && page.text().contains("class=\"results\""), "{}", page.text());
        assert!(!page.text().contains("Your choice") && !page.text().contains("<form"), "{}", page.text());
    }
}

#[test]
fn result_for_voters_is_for_the_browser_that_voted() {
    let server = TestServer::start();
    polls::create(&server, "voters", |poll| poll.results = Visibility::AfterVote);
    let vote = submit(&server, "/polls/voters", "choice=2");
    let own = page_after(&server, &vote, &[("cookie", cookie(&vote))]);
    assert!(own.text().contains("class=\"results\"") && own.text().contains("Your choice"), "{}", own.text());
    for headers in [&[][..], &[LED_HERE], &[PASSED_ON]] {
        let page = page_after(&server, &vote, headers);
        let outside = page.text().split("<template>").next().unwrap();
        assert!(!outside.contains("class=\"results\"") && !outside.contains("1 vote"), "{outside}");
    }
}

#[test]
fn no_address_says_what_was_chosen() {
    let server = TestServer::start();
    let ids = ["018f4d1e-7c00-7000-8000-000000000001", "018f4d1e-7c00-7000-8000-000000000002"];
    let votes = [1, 2].map(|choice| {
        let form = format!("choice={choice}&ballot_id={}", ids[0]);
        let poll = format!("poll-{choice}");
        polls::create(&server, &poll, |_| ());
        crate::pages::submit_form(&server, &format!("/polls/{poll}"), &form)
    });
    for vote in &votes {
        let address = vote.header("location").unwrap();
        assert!(!ids.iter().any(|id| address.contains(id)) && !address.contains("voted"), "{address}");
    }
    // The address of the first poll's vote, sent again with what the second one's cookie says, is nobody's.
    let page = page_after(&server, &votes[0], &[("cookie", cookie(&votes[1])), PASSED_ON]);
    assert!(page.text().contains("<form"), "{}", page.text());
}

#[test]
fn receipt_is_good_on_another_node_with_the_same_secret() {
    let secret = [("APP_SECRET", "0123456789abcdef0123456789abcdef")];
    let (node, other) = (TestServer::start_with(&secret), TestServer::start_with(&secret));
    let vote = submit(&node, "/polls/demo", "choice=4");
    let page = page_after(&other, &vote, &[("cookie", cookie(&vote)), PASSED_ON]);
    assert!(page.text().contains("Thank you") && page.text().contains("Your choice"), "{}", page.text());
    let stranger = TestServer::start();
    let page = page_after(&stranger, &vote, &[("cookie", cookie(&vote)), PASSED_ON]);
    assert!(page.text().contains("<form"), "{}", page.text());
}
