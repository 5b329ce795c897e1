//! Voting.

use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::json;
use throng_testkit::polls;

use crate::webdriver::{Browser, browse};
use throng_domain::poll::{Kind, Visibility};

/// How many ballots the demo poll has.
pub fn voters(browser: &Browser) -> u64 {
    browser.server.get("/api/v1/polls/demo/results").json()["voters"].as_u64().unwrap()
}

/// Chooses options that aren't chosen yet.
pub async fn choose(browser: &Browser, options: &[u16]) {
    for option in options {
        // Without script a page leads on to the one whose form has an id.
        browser.wait_for("form [name=ballot_id]:not([value=''])").await;
        let open = format!("label:has([value='{option}']:not(:checked))");
        if browser.has(&open).await {
            browser.click(&open).await;
        }
    }
}

/// Votes for these options on the page that is shown, and waits for the outcome.
pub async fn vote(browser: &Browser, options: &[u16]) {
    choose(browser, options).await;
    browser.click("button").await;
    browser.wait_for(".outcome").await;
}

/// The outcome's markup without the spaces between its tags.
pub async fn outcome(browser: &Browser) -> String {
    let html = browser.wait_for(".outcome").await.html(false).await.unwrap();
    html.split('>').map(str::trim).collect::<Vec<_>>().join(">").replace(" <", "<")
}

#[test]
fn a_vote_is_counted_and_its_result_shown_in_place() {
    browse(true, async |browser| {
        browser.server.post("/api/submit", b"[1]");
        browser.goto("/").await;
        choose(browser, &[1, 3]).await;
        browser.screenshot("phone-chosen").await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".share").await, ["100%", "0%", "50%", "0%", "0%"]);
        assert_eq!(browser.texts(".count").await, ["2 votes", "0 votes", "1 vote", "0 votes", "0 votes"]);
        assert_eq!(browser.texts(".own bdi").await, ["Headliners", "The light show"]);
        assert_eq!(browser.texts(".tick").await, ["Your choice", "Your choice"]);
        assert_eq!(browser.texts(".voters").await, ["2 ballots"]);
        let focused = browser.client.active_element().await.unwrap();
        assert_eq!(focused.text().await.unwrap(), "Thank you, your vote is counted");
        assert_eq!(voters(browser), 2);
    });
}

#[test]
fn the_script_and_the_server_show_the_same() {
    browse(true, async |browser| {
        browser.goto("/polls/demo").await;
        vote(browser, &[2, 5]).await;
        let in_place = outcome(browser).await;
        assert_eq!(browser.client.current_url().await.unwrap().query(), None);
        browser.client.refresh().await.unwrap();
        assert_eq!(outcome(browser).await, in_place, "after a reload");
        // The same ballot, sent by the form.
        let id = browser.run("return history.state.ballotId").await;
        browser.goto("/polls/demo/ballot").await;
        choose(browser, &[2, 5]).await;
        let send = "const form = document.querySelector('form'); form.elements.ballot_id.value = ";
        browser.run(&format!("{send}{id}; form.submit()")).await;
        assert_eq!(outcome(browser).await, in_place, "from the server");
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn back_to_the_ballot_leads_to_a_new_one() {
    browse(true, async |browser| {
        browser.goto("/polls/demo").await;
        for ballots in 1..=3 {
            vote(browser, &[2]).await;
            assert_eq!(voters(browser), ballots);
            browser.click(".outcome a").await;
            browser.wait_for("form").await;
        }
    });
}

#[test]
fn reload_after_a_vote_shows_what_only_voters_see_and_votes_no_second_time() {
    browse(true, async |browser| {
        polls::create(&browser.server, "voters", |poll| poll.results = Visibility::AfterVote);
        browser.goto("/polls/voters").await;
        vote(browser, &[2]).await;
        browser.client.refresh().await.unwrap();
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
        assert_eq!(browser.texts(".count").await, ["0 votes", "1 vote", "0 votes", "0 votes", "0 votes"]);
    });
}

#[test]
fn result_of_a_vote_that_is_counted_later_is_asked_for_until_it_has_it() {
    browse(true, async |browser| {
        browser.goto("/").await;
        // As behind a broker: accepted, with the result from before.
        browser
            .run(
                "const real = window.fetch;
                 const results = document.querySelector('form').dataset.results;
                 window.fetch = async (address, request) => {
                   if (request.method !== 'POST') return real(address, request);
                   const before = await (await real(results)).json();
                   const body = await (await real(address, request)).json();
                   return Response.json({ ...body, status: 'accepted', results: before }, { status: 202 });
                 }",
            )
            .await;
        vote(browser, &[2]).await;
        browser.wait_for(".still").await;
        assert_eq!(browser.texts(".own .count").await, ["1 vote"]);
        assert_eq!(browser.texts(".voters").await, ["1 ballot"]);
    });
}

#[test]
fn offline_is_not_told_as_many_voting() {
    browse(true, async |browser| {
        browser.goto("/").await;
        browser.run("window.setTimeout = (later) => queueMicrotask(later)").await;
        choose(browser, &[4]).await;
        browser.set_offline(true).await;
        browser.click("button").await;
        let message = browser.wait_for(".message:not(:empty)").await.text().await.unwrap();
        assert!(message.contains("Are you offline?") && !message.contains("voting"), "{message}");
        browser.screenshot("phone-offline").await;
        browser.set_offline(false).await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn the_keyboard_is_enough() {
    browse(true, async |browser| {
        browser.goto("/").await;
        // To the first option, to the third, to the button.
        for (tabs, key) in [(1, ' '), (2, ' '), (3, Key::Enter.into())] {
            for key in std::iter::repeat_n(Key::Tab.into(), tabs).chain([key]) {
                browser.client.active_element().await.unwrap().send_keys(&key.to_string()).await.unwrap();
            }
        }
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["Headliners", "The light show"]);
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn a_double_click_counts_once() {
    browse(true, async |browser| {
        browser.goto("/").await;
        choose(browser, &[4]).await;
        browser.run("const button = document.querySelector('button'); button.click(); button.click()").await;
        browser.wait_for(".results").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn a_lost_answer_is_asked_for_again_and_counts_once() {
    browse(true, async |browser| {
        browser.goto("/").await;
        browser
            .run(
                "const real = window.fetch;
                 window.sent = [];
                 window.fetch = async (address, request) => {
                   sent.push(JSON.parse(request.body).ballot_id);
                   const answer = await real(address, request);
                   if (sent.length === 1) throw new TypeError('the answer is lost');
                   if (sent.length === 2) return new Response('', { status: 503, headers: { 'Retry-After': '1' } });
                   return answer;
                 }",
            )
            .await;
        choose(browser, &[4]).await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        let sent = browser.run("return sent").await;
        assert_eq!(sent, json!([sent[0], sent[0], sent[0]]));
        let id: uuid::Uuid = sent[0].as_str().unwrap().parse().unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn when_no_answer_comes_the_same_vote_can_be_sent_again() {
    browse(true, async |browser| {
        browser.goto("/").await;
        browser
            .run(
                "window.setTimeout = (later) => queueMicrotask(later);
                 window.real = window.fetch;
                 window.sent = [];
                 window.fetch = async (address, request) => {
                   sent.push(JSON.parse(request.body).ballot_id);
                   throw new TypeError('no network');
                 }",
            )
            .await;
        choose(browser, &[4]).await;
        browser.click("button").await;
        browser.wait_for(".message:not(:empty)").await;
        assert_eq!(browser.texts("button").await, ["Try again"]);
        browser.screenshot("phone-no-answer").await;
        let tries = browser.run("window.fetch = window.real; return [sent.length, new Set(sent).size]").await;
        assert_eq!(tries, json!([6, 1]));
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["Food and drink"]);
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn nothing_chosen_is_said_at_once_and_nothing_sent() {
    browse(true, async |browser| {
        browser.goto("/").await;
        browser.click("button").await;
        assert_eq!(browser.texts(".message").await, ["Choose an option first, then vote."]);
        browser.screenshot("phone-nothing-chosen").await;
        choose(browser, &[1]).await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn a_poll_that_closed_meanwhile_says_so() {
    browse(true, async |browser| {
        let closes_at = throng_testkit::NOW.plus_ms(1_000);
        polls::create(&browser.server, "short", |poll| poll.closes_at = Some(closes_at));
        browser.goto("/polls/short").await;
        choose(browser, &[1]).await;
        browser.server.clock.set(closes_at);
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        assert_eq!(browser.texts(".message").await, ["This poll has closed, so your vote was not counted."]);
    });
}

#[test]
fn a_hidden_result_stays_hidden() {
    browse(true, async |browser| {
        polls::create(&browser.server, "secret", |poll| {
            poll.kind = Kind::Single;
            poll.results = Visibility::AfterClose;
        });
        browser.goto("/polls/secret").await;
        choose(browser, &[2]).await;
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        assert_eq!(browser.texts("h2").await, ["Thank you, your vote is counted"]);
        assert_eq!(browser.texts(".results").await, [""; 0]);
        assert!(browser.client.find(Locator::Css(".voters")).await.is_err());
    });
}

#[test]
fn without_javascript_the_form_does_it() {
    browse(false, async |browser| {
        browser.goto("/").await;
        browser.click("button").await;
        browser.wait_for(".message").await;
        assert_eq!(browser.texts(".message").await, ["Choose an option first, then vote."]);
        choose(browser, &[1, 3]).await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        let address = browser.client.current_url().await.unwrap();
        assert!(address.query().unwrap().starts_with("receipt="), "{address}");
        assert_eq!(browser.texts(".share").await, ["100%", "0%", "100%", "0%", "0%"]);
        assert_eq!(browser.texts(".own bdi").await, ["Headliners", "The light show"]);
        browser.client.refresh().await.unwrap();
        assert_eq!(voters(browser), 1);
    });
}
