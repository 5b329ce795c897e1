//! Voting where a voter has one vote.

use throng_domain::policy::Policy;
use throng_domain::poll::Visibility;
use throng_testkit::{NOW, TokenSigner, polls};

use super::voting::{choose, vote};
use crate::webdriver::{Browser, Setup, browse, browse_with};

async fn texts_after_a_second_vote(browser: &Browser) -> Vec<String> {
    browser.goto("/polls/song").await;
    choose(browser, &[3]).await;
    browser.click("button").await;
    browser.wait_for(".message[autofocus]").await;
    browser.texts(".message").await
}

fn voters(browser: &Browser) -> u64 {
    browser.server.get("/api/v1/polls/song/results").json()["voters"].as_u64().unwrap()
}

#[test]
fn browser_that_has_voted_is_told_so_and_shown_its_vote() {
    for javascript in [true, false] {
        browse(javascript, async |browser| {
            polls::create(&browser.server, "song", |poll| poll.policy = Policy::Device);
            browser.goto("/polls/song").await;
            vote(browser, &[2]).await;
            let told = texts_after_a_second_vote(browser).await;
            assert_eq!(told, ["You have already voted. Your first vote stands; this one was not counted."]);
            assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
            assert_eq!(voters(browser), 1);
        });
    }
}

#[test]
fn network_that_has_voted_is_told_why() {
    browse(true, async |browser| {
        polls::create(&browser.server, "song", |poll| poll.policy = Policy::Network);
        browser.goto("/polls/song").await;
        vote(browser, &[2]).await;
        let told = texts_after_a_second_vote(browser).await.concat();
        assert!(told.starts_with("Someone on your network has already voted."), "{told}");
        assert_eq!(browser.texts(".own bdi").await, [""; 0], "it may be another person's");
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn reload_after_a_vote_does_not_vote_from_another_network() {
    browse(true, async |browser| {
        polls::create(&browser.server, "song", |poll| {
            (poll.policy, poll.results) = (Policy::Network, Visibility::AfterVote);
            poll.closes_at = Some(NOW.plus_ms(200_000_000));
        });
        browser.goto("/polls/song").await;
        vote(browser, &[2]).await;
        // A network is another voter on another day.
        browser.server.clock.set(NOW.plus_ms(100_000_000));
        browser.client.refresh().await.unwrap();
        browser.wait_for(".outcome").await;
        assert_eq!(browser.texts("h2").await, ["Thank you, your vote is counted"]);
        browser.server.clock.set(NOW.plus_ms(200_000_000));
        assert_eq!(voters(browser), 1);
    });
}

/// The publisher's key, in a file.
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/browser/voter_keys.json");

#[test]
fn publishers_user_votes_once_with_the_token_in_the_address() {
    for javascript in [true, false] {
        let setup = Setup { settings: &[("VOTER_KEYS", KEYS)], ..Setup::new(javascript) };
        browse_with(setup, async |browser| {
            polls::create(&browser.server, "song", |poll| poll.policy = Policy::Signed);
            browser.goto("/polls/song").await;
            let notice = browser.wait_for(".message").await.text().await.unwrap();
            assert!(notice.starts_with("Only users of another site can vote in this poll."), "{notice}");
            let claims = serde_json::json!({"sub": "ann", "aud": "song", "exp": NOW.0 / 1_000 + 60});
            let page = format!("/polls/song?voter={}", TokenSigner::hs256().token(&claims));
            browser.goto(&page).await;
            vote(browser, &[2]).await;
            browser.goto(&page).await;
            choose(browser, &[3]).await;
            browser.click("button").await;
            browser.wait_for(".message[autofocus]").await;
            let told = browser.texts(".message").await;
            assert_eq!(told, ["You have already voted. Your first vote stands; this one was not counted."]);
            assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
            browser.server.clock.set(NOW.plus_ms(70_000));
            browser.goto(&page).await;
            choose(browser, &[3]).await;
            browser.click("button").await;
            browser.wait_for(".message[autofocus]").await;
            let told = browser.texts(".message").await.concat();
            assert!(told.contains("this page was open for too long"), "{told}");
            assert_eq!(voters(browser), 1);
        });
    }
}

#[test]
fn vote_beyond_the_networks_limit_is_sent_again_later() {
    let setup = Setup { settings: &[("VOTES_PER_NETWORK", "1")], ..Setup::new(true) };
    browse_with(setup, async |browser| {
        browser.server.post("/api/submit", b"[1]");
        browser.goto("/").await;
        browser.run("window.setTimeout = (later) => queueMicrotask(later)").await;
        choose(browser, &[4]).await;
        browser.click("button").await;
        browser.wait_for(".message:not(:empty)").await;
        let told = browser.texts(".message").await;
        assert_eq!(
            told,
            ["Too many votes are coming from your network at this moment. Your vote is not counted yet: try again."]
        );
        browser.server.clock.set(NOW.plus_ms(60_000));
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["Food and drink"]);
        assert_eq!(browser.server.voters(), 2);
    });
}
