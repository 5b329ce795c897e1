//! The ballot, and what comes of filling it in.

use throng_domain::poll::Kind;
use throng_testkit::{Answer, NOW, TestServer, polls};

use crate::pages::{assert_page, submit, submit_form, voters};

#[test]
fn the_default_poll_is_at_the_root_and_looks_the_same_to_everybody() {
    let server = TestServer::start();
    let page = server.get("/");
    assert_page(&page, 200);
    assert_eq!(page.text(), server.get("/polls/demo").text());
    assert_eq!(page.header("cache-control"), Some("public, max-age=0, s-maxage=1, stale-while-revalidate=0"));
    assert_eq!(page.header("set-cookie"), None);
    assert_eq!(page.text().matches("type=\"checkbox\"").count(), 5);
    assert!(page.text().contains("Choose all that apply</legend>"));
    submit(&server, "/polls/demo", "choice=1");
    assert_eq!(page.text(), server.get("/").text(), "a vote changes nothing for a cache to miss");
}

#[test]
fn style_and_script_may_be_kept_for_good() {
    let server = TestServer::start();
    let page = server.get("/");
    for (kind, media_type) in [("css", "text/css; charset=utf-8"), ("js", "text/javascript; charset=utf-8")] {
        let path = page.text().split('"').find(|path| path.ends_with(&format!(".{kind}"))).unwrap();
        let asset = server.get(path);
        assert_eq!((asset.status, asset.header("content-type")), (200, Some(media_type)));
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    }
    server.get("/assets/poll-0000000000000000.css").assert_problem(404, "not_found");
}

#[test]
fn what_is_no_vote_is_refused_on_the_page_and_not_counted() {
    let server = TestServer::start();
    polls::create(&server, "two", |poll| poll.max_choices = Some(2));
    for (form, status, message) in [
        ("", 422, "Choose an option first, then vote."),
        ("choice=1&choice=2&choice=3", 422, "Choose at most 2 options."),
        ("choice=6", 422, "One of those options is not in this poll."),
        ("choice=x", 422, "Your vote could not be read"),
        ("choice=%2B1", 422, "Your vote could not be read"),
        ("choice=1&votes=999", 422, "Your vote could not be read"),
        ("choice=1&retry=2", 422, "Your vote could not be read"),
        (&"choice=1&".repeat(2_000), 413, "Your vote could not be read"),
    ] {
        let page = submit(&server, "/polls/two", form);
        assert_page(&page, status);
        assert_ne!(ballot_id(&page), "", "a ballot sent from here counts once");
        assert!(page.text().contains(message), "{form}: {}", page.text());
        assert!(page.text().contains("Not counted: "), "the title tells it too");
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    assert_page(&server.post("/polls/two", b"[1]"), 415);
    assert_eq!(voters(&server, "two"), 0);
    let page = submit(&server, "/polls/two", "choice=1&choice=2&choice=3");
    assert_eq!(page.text().matches(" checked").count(), 3, "what was chosen stays chosen");
}

#[test]
fn a_form_sent_again_with_its_id_counts_once() {
    let server = TestServer::start();
    let id = "018f4d1e-7c00-7000-8000-000000000001";
    for _ in 0..3 {
        assert_eq!(submit_form(&server, "/polls/demo", &format!("choice=2&ballot_id={id}")).status, 303);
    }
    let other = submit_form(&server, "/polls/demo", &format!("choice=4&ballot_id={id}"));
    assert_page(&other, 422);
    assert!(other.text().contains("Your first vote stands"));
    assert_eq!(voters(&server, "demo"), 1);
}

#[test]
fn page_without_script_has_an_id_of_its_own_that_no_shared_cache_keeps() {
    let server = TestServer::start();
    let cached = server.get("/polls/demo");
    assert_eq!(ballot_id(&cached), "");
    let refresh = "<noscript><meta http-equiv=\"refresh\" content=\"0; url=/polls/demo/ballot\"></noscript>";
    assert!(cached.text().contains(refresh), "{}", cached.text());
    let [one, other] = [0, 1].map(|_| {
        let led = server.get("/polls/demo/ballot");
        assert_eq!((led.status, led.header("cache-control")), (303, Some("no-store")));
        led.header("location").unwrap().to_owned()
    });
    assert_ne!(one, other);
    let [one, again, other] = [&one, &one, &other].map(|address| server.get(address));
    for page in [&one, &again, &other] {
        assert_page(page, 200);
        assert_eq!(page.header("cache-control"), Some("private, no-cache"));
        assert_eq!(page.header("cdn-cache-control"), Some("no-store"));
        assert!(!page.text().contains("http-equiv"), "it leads nowhere else");
    }
    assert_eq!(ballot_id(&one), ballot_id(&again));
    assert_ne!(ballot_id(&one), ballot_id(&other));
}

#[test]
fn address_of_a_ballot_is_good_for_the_browser_that_was_led_to_it() {
    let server = TestServer::start();
    let led = server.get("/polls/demo/ballot");
    let (address, cookie) = (led.header("location").unwrap(), led.header("set-cookie").unwrap());
    let cookie = ("cookie", cookie.split(';').next().unwrap());
    let ask = |headers: &[(&str, &str)]| server.connect().request("GET", address, headers, b"");
    let own = ask(&[cookie]);
    let id = ballot_id(&own);
    // Later it is asked for anew: by Back, by a reload, or in a copy of the tab.
    server.clock.set(NOW.plus_ms(60_000));
    for headers in [&[cookie][..], &[cookie, ("sec-fetch-site", "none")], &[("sec-fetch-site", "same-origin")]] {
        let page = ask(headers);
        assert_page(&page, 200);
        assert_eq!(ballot_id(&page), id, "{headers:?}");
        assert_eq!(submit_form(&server, "/polls/demo", &format!("choice=2&ballot_id={id}")).status, 303);
    }
    assert_eq!(voters(&server, "demo"), 1);
    // To somebody else, and where what it names is no ballot, it is the way to another ballot.
    for headers in [&[][..], &[("sec-fetch-site", "none")], &[("sec-fetch-site", "cross-site")]] {
        let led = ask(headers);
        assert_eq!(led.status, 303, "{headers:?}");
        assert_ne!(led.header("location"), Some(address));
    }
    for query in ["id=", "id=x", "id=018f4d1e-7c00-4000-8000-000000000001", "id"] {
        assert_eq!(server.get(&format!("/polls/demo/ballot?{query}")).status, 303, "{query}");
    }
    assert!(!address.contains(id), "whoever reads the address in a log can't find the ballot");
}

#[test]
fn form_without_an_id_is_shown_again_with_one_and_not_counted() {
    let server = TestServer::start();
    polls::create(&server, "closed", |poll| poll.closes_at = Some(NOW.plus_ms(1)));
    for form in ["choice=3", "choice=3&ballot_id="] {
        let page = submit_form(&server, "/polls/demo", form);
        assert_page(&page, 422);
        assert!(page.text().contains("Press Vote once more: then your vote is counted."), "{}", page.text());
        assert!(page.text().contains(r#"value="3" checked"#), "{}", page.text());
        let id = ballot_id(&page);
        for _ in 0..2 {
            assert_eq!(submit_form(&server, "/polls/demo", &format!("choice=3&ballot_id={id}")).status, 303);
        }
    }
    assert_eq!(voters(&server, "demo"), 2);
    server.clock.set(NOW.plus_ms(1));
    assert_page(&submit_form(&server, "/polls/closed", "choice=3"), 410);
}

/// The id in a page's form.
fn ballot_id(page: &Answer) -> &str {
    page.text().split_once(r#"name="ballot_id" value=""#).unwrap().1.split_once('"').unwrap().0
}

#[test]
fn who_votes_too_soon_or_too_late_is_told() {
    let server = TestServer::start();
    polls::create(&server, "timed", |poll| {
        poll.opens_at = Some(NOW.plus_ms(1_000));
        poll.closes_at = Some(NOW.plus_ms(2_000));
    });
    let soon = submit(&server, "/polls/timed", "choice=1");
    assert_page(&soon, 409);
    assert!(soon.text().contains("This poll is not open yet, so your vote was not counted."));
    server.clock.set(NOW.plus_ms(2_000));
    let late = submit(&server, "/polls/timed", "choice=1");
    assert_page(&late, 410);
    assert!(late.text().contains("This poll has closed, so your vote was not counted."));
    assert_eq!(voters(&server, "timed"), 0);
}

#[test]
fn a_single_choice_is_made_with_radio_buttons() {
    let server = TestServer::start();
    polls::create(&server, "one", |poll| poll.kind = Kind::Single);
    let page = server.get("/polls/one");
    assert_eq!(page.text().matches("type=\"radio\"").count(), 5);
    assert!(page.text().contains("Choose one</legend>"));
    assert!(submit(&server, "/polls/one", "choice=1&choice=2").text().contains("Choose only one option."));
}

#[test]
fn whatever_an_editor_writes_stays_text() {
    let server = TestServer::start();
    let hostile = r#""'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}&amp;"#;
    polls::create(&server, "hostile", |poll| {
        poll.title = hostile.to_owned();
        poll.intro = hostile.to_owned();
        poll.labels = vec![hostile.to_owned(), "</bdi></label>".to_owned()];
    });
    let voted = submit(&server, "/polls/hostile", "choice=1");
    for path in ["/polls/hostile", voted.header("location").unwrap()] {
        let page = server.get(path);
        assert_page(&page, 200);
        assert!(!page.text().contains("<script>alert") && !page.text().contains("<img"), "{}", page.text());
        assert!(page.text().contains("&#60;script&#62;alert(1)"), "{}", page.text());
        assert!(page.text().contains("&#38;amp;"));
    }
}

#[test]
fn options_are_ranked_without_script() {
    let server = TestServer::start();
    polls::create(&server, "host", |poll| {
        poll.kind = Kind::Ranked;
        poll.max_choices = Some(3);
    });
    let page = server.get("/polls/host");
    assert_page(&page, 200);
    assert_eq!(page.text().matches("<select name=\"choice\"").count(), 3);
    assert_eq!(page.text().matches("<select name=\"choice\" required>").count(), 1, "one rank is enough");
    assert!(page.text().contains("1st choice") && page.text().contains("3rd choice"));
    assert!(page.text().contains("Choose in your order, the best one first</legend>"));
    let twice = submit(&server, "/polls/host", "choice=3&choice=1&choice=3");
    assert_page(&twice, 422);
    assert!(twice.text().contains("You gave an option two ranks"), "{}", twice.text());
    assert_eq!(twice.text().matches(" selected>").count(), 3, "what was chosen stays chosen");
    for form in ["score-1=5", "choice=", "choice=9", "choice=1&choice=2&choice=3&choice=4"] {
        assert_page(&submit(&server, "/polls/host", form), 422);
    }
    assert_eq!(voters(&server, "host"), 0);
    // A rank left empty is no rank.
    assert_eq!(submit(&server, "/polls/host", "choice=3&choice=&choice=1").status, 303);
    server.settle();
    let results = server.get("/api/v1/polls/host/results").json();
    assert_eq!((&results["winner"], &results["pairwise"]["matrix"][0][1]), (&3.into(), &1.into()));
}

#[test]
fn options_are_scored_without_script() {
    let server = TestServer::start();
    polls::create(&server, "songs", |poll| poll.kind = Kind::Score);
    let page = server.get("/polls/songs");
    assert_page(&page, 200);
    assert_eq!(page.text().matches("<select name=\"score-").count(), 5);
    assert!(page.text().contains("Give each a score from 0 to 5, the best</legend>"));
    for form in ["choice=1", "score-1=6", "score-9=1", "score-x=1", "score-1=-1", "score-1=1&score-1=2", "score-1="] {
        let page = submit(&server, "/polls/songs", form);
        assert_page(&page, 422);
    }
    let again = submit(&server, "/polls/songs", "score-1=3&score-9=1");
    assert_eq!(again.text().matches(" selected>").count(), 1, "{}", again.text());
    assert_eq!(submit(&server, "/polls/songs", "score-1=5&score-2=0&score-3=").status, 303);
    server.settle();
    let results = server.get("/api/v1/polls/songs/results").json();
    assert_eq!((&results["voters"], &results["scores"]["winners"]), (&1.into(), &serde_json::json!([1])));
}
