//! The page of a poll whose voters may change their ballots, without JavaScript.

use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Policy;
use throng_testkit::{Answer, NOW, TestServer};

use crate::pages::assert_page;

const ID: &str = "018f4d1e-7c00-7000-8000-000000000001";

/// Sends the form with the ballot id of an address to which the browser goes back again and again.
fn submit(server: &TestServer, choice: u16, cookie: Option<&str>) -> Answer {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    headers.extend(cookie.map(|cookie| ("cookie", cookie)));
    let form = format!("choice={choice}&ballot_id={ID}");
    server.connect().request("POST", "/polls/song", &headers, form.as_bytes())
}

/// The cookie of this name that a response sets, as a browser sends it.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.headers().iter().find(|(header, value)| header == "set-cookie" && value.starts_with(name));
    set.expect("it is set").1.split(';').next().unwrap().to_owned()
}

fn counts(server: &TestServer) -> Vec<u64> {
    let results = server.get("/api/v1/polls/song/results").json();
    results["options"].as_array().unwrap().iter().take(3).map(|option| option["count"].as_u64().unwrap()).collect()
}

#[test]
fn voter_goes_back_to_the_form_and_votes_otherwise() {
    let server = TestServer::start();
    let poll = NewPoll { policy: Policy::Device, changeable: true, ..NewPoll::demo("song".parse().unwrap(), NOW) };
    server.create_poll(poll);
    let page = server.get("/polls/song");
    assert_page(&page, 200);
    assert!(page.text().contains("You can change your vote until the poll closes"), "{}", page.text());
    let first = submit(&server, 1, None);
    assert_eq!(first.status, 303, "{first:?}");
    let token = cookie(&first, "throng-song");
    server.clock.set(NOW.plus_ms(10));
    let changed = submit(&server, 2, Some(&token));
    assert_eq!((changed.status, counts(&server)), (303, vec![0, 1, 0]));
    let cookies = format!("{token}; {}", cookie(&changed, "vote-song"));
    let address = changed.header("location").unwrap().to_owned();
    let outcome = server.connect().request("GET", &address, &[("cookie", &cookies)], b"");
    assert_page(&outcome, 200);
    assert!(outcome.text().contains(">Change your vote</a>"), "{}", outcome.text());
    assert_eq!(outcome.text().matches("class=\"tick\"").count(), 1, "{}", outcome.text());
    // The first one sent again is none of the voter's any more: its page shows nothing as chosen.
    server.clock.set(NOW.plus_ms(20));
    let again = submit(&server, 1, Some(&token));
    assert_eq!((again.status, counts(&server)), (303, vec![0, 1, 0]));
    let cookies = format!("{token}; {}", cookie(&again, "vote-song"));
    let address = again.header("location").unwrap().to_owned();
    let outcome = server.connect().request("GET", &address, &[("cookie", &cookies)], b"");
    assert_eq!(outcome.text().matches("class=\"tick\"").count(), 0, "{}", outcome.text());
}
