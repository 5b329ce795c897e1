//! What pages show of results, to whom and when.

use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{CLOSING_MS, Visibility};
use throng_testkit::{NOW, TestServer, polls};

use crate::pages::{assert_page, submit};

const CLOSES_AT: Timestamp = Timestamp(NOW.0 + 60_000);

fn closing(results: Visibility) -> impl FnOnce(&mut NewPoll) {
    move |poll| {
        poll.results = results;
        poll.closes_at = Some(CLOSES_AT);
    }
}

fn has_bars(page: &str) -> bool {
    page.split("<template>").next().unwrap().contains("class=\"results\"")
}

#[test]
fn a_poll_before_its_opening_says_when_it_opens() {
    let server = TestServer::start();
    polls::create(&server, "later", |poll| poll.opens_at = Some(NOW.plus_ms(3_600_000)));
    for path in ["/polls/later", "/polls/later/ballot"] {
        let page = server.get(path);
        assert_page(&page, 200);
        assert!(page.text().contains("This poll is not open yet"));
        assert!(!page.text().contains("<form") && !has_bars(page.text()));
    }
    let opening = "<time datetime=\"2100-01-01T01:00:00.000Z\">1 January 2100, 01:00 UTC</time>";
    assert!(server.get("/polls/later").text().contains(opening));
}

#[test]
fn a_closed_poll_shows_its_result_first_so_far_then_final() {
    let server = TestServer::start();
    polls::create(&server, "short", closing(Visibility::Always));
    submit(&server, "/polls/short", "choice=2");
    server.clock.set(CLOSES_AT);
    let page = server.get("/polls/short");
    assert!(has_bars(page.text()) && page.text().contains("The result so far"), "{}", page.text());
    server.clock.set(CLOSES_AT.plus_ms(CLOSING_MS));
    assert_eq!(server.ended("short"), "final");
    let page = server.get("/polls/short");
    assert_page(&page, 200);
    assert!(has_bars(page.text()) && page.text().contains("The final result"), "{}", page.text());
    assert!(!page.text().contains("Your choice") && !page.text().contains("<form"));
}

#[test]
fn a_poll_that_nobody_voted_in_has_a_result_all_the_same() {
    let server = TestServer::start();
    polls::create(&server, "quiet", closing(Visibility::Always));
    server.clock.set(CLOSES_AT.plus_ms(CLOSING_MS));
    let page = server.get("/polls/quiet");
    assert_page(&page, 200);
    assert_eq!(page.text().matches(">0%</span>").count(), 5);
    assert!(page.text().contains("Nobody voted"), "{}", page.text());
}

#[test]
fn a_hidden_result_is_on_no_page() {
    let server = TestServer::start();
    for (slug, results) in [("never", Visibility::Never), ("after", Visibility::AfterClose)] {
        polls::create(&server, slug, closing(results));
        let answer = submit(&server, &format!("/polls/{slug}"), "choice=2");
        assert_eq!(answer.status, 303);
        let led_here = [("sec-fetch-site", "same-origin")];
        let page = server.connect().request("GET", answer.header("location").unwrap(), &led_here, b"");
        assert!(page.text().contains("Thank you, your vote is counted"));
        for path in [&format!("/polls/{slug}"), answer.header("location").unwrap()] {
            let page = server.get(path);
            assert!(!page.text().contains("class=\"results\"") && !page.text().contains("voter<"), "{}", page.text());
        }
    }
    server.clock.set(CLOSES_AT);
    assert!(has_bars(server.get("/polls/after").text()));
    assert!(!has_bars(server.get("/polls/never").text()));
}

#[test]
fn where_there_is_no_poll_browsers_get_a_page_and_programs_a_problem() {
    let server = TestServer::start_with(&[("DEFAULT_POLL", "other"), ("APP_ENV", "prod")]);
    for path in ["/", "/polls/none", "/polls/%FF", "/polls/none/ballot", "/polls/none?a=1"] {
        let page = server.connect().request("GET", path, &[("accept", "text/html,*/*;q=0.8")], b"");
        assert_page(&page, 404);
        assert_eq!(page.header("vary"), Some("Accept"));
        assert!(page.text().contains("There is no such poll"));
        server.get(path).assert_problem(404, "poll_not_found");
    }
    assert_page(&submit(&server, "/polls/none", "choice=1"), 404);
    server.connect().request("PUT", "/polls/none", &[], b"").assert_problem(405, "method_not_allowed");
}

#[test]
fn address_that_is_nothing_is_a_page_to_browsers() {
    let server = TestServer::start();
    for path in ["/nowhere", "/polls", "/polls/", "/polls/demo/nowhere"] {
        let page = server.connect().request("GET", path, &[("accept", "text/html,*/*;q=0.8")], b"");
        assert_page(&page, 404);
        assert!(page.text().contains("There is nothing here"), "{path}");
        server.get(path).assert_problem(404, "not_found");
    }
    let api = server.connect().request("GET", "/api/nowhere", &[("accept", "text/html")], b"");
    api.assert_problem(404, "not_found");
}

#[test]
fn slashes_and_capitals_lead_to_the_poll() {
    let server = TestServer::start();
    for (wrong, right) in [
        ("/polls/demo/", "/polls/demo"),
        ("/polls/Demo?a=B", "/polls/demo?a=B"),
        ("/polls/DEMO//", "/polls/demo"),
        ("/polls/Demo/ballot/", "/polls/demo/ballot"),
        ("/polls/Nosuch", "/polls/nosuch"),
    ] {
        let moved = server.get(wrong);
        assert_eq!((moved.status, moved.header("location")), (308, Some(right)), "{wrong}");
    }
    assert_eq!(submit(&server, "/polls/Demo", "choice=1").status, 308, "a form is sent on as it is");
}
