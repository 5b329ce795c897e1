//! Voting where the script doesn't run, or hasn't come yet.

use crate::browser::voting::{choose, vote, voters};
use crate::webdriver::{Browser, Setup, browse_with};
use throng_domain::poll::Visibility;
use throng_testkit::{NOW, polls};

const BARE: Setup = Setup::new(false);

/// Votes, goes back, and votes again.
async fn vote_twice(browser: &Browser, path: &str) {
    browser.goto(path).await;
    vote(browser, &[2]).await;
    browser.client.back().await.unwrap();
    vote(browser, &[2]).await;
}

#[test]
fn pressing_three_times_counts_once() {
    browse_with(Setup { waits_for_pages: false, ..BARE }, async |browser| {
        browser.goto("/").await;
        choose(browser, &[2]).await;
        let button = browser.wait_for("button").await;
        for _ in 0..3 {
            // The page may have gone by then.
            let _ = button.clone().click().await;
        }
        browser.wait_for(".outcome").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn back_and_vote_counts_once() {
    for back_forward_cache in [true, false] {
        browse_with(Setup { back_forward_cache, ..BARE }, async |browser| {
            vote_twice(browser, "/").await;
            assert_eq!(voters(browser), 1, "back-forward cache: {back_forward_cache}");
        });
    }
}

#[test]
fn back_to_a_page_that_is_asked_for_anew_counts_once() {
    browse_with(Setup { back_forward_cache: false, ..BARE }, async |browser| {
        browser.keep_no_pages().await;
        browser.goto("/").await;
        vote(browser, &[2]).await;
        browser.server.clock.set(NOW.plus_ms(60_000));
        for _ in 0..2 {
            browser.client.back().await.unwrap();
            vote(browser, &[2]).await;
        }
        assert_eq!(voters(browser), 1);
        // A reload of the ballot, and a copy of its tab.
        browser.client.back().await.unwrap();
        browser.client.refresh().await.unwrap();
        vote(browser, &[2]).await;
        browser.client.back().await.unwrap();
        let copied = browser.client.current_url().await.unwrap();
        let tab = browser.client.new_window(true).await.unwrap().handle;
        browser.client.switch_to_window(tab).await.unwrap();
        browser.client.goto(copied.as_str()).await.unwrap();
        vote(browser, &[2]).await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn a_form_sent_before_the_script_counts_once() {
    for back_forward_cache in [true, false] {
        let setup = Setup { back_forward_cache, ..Setup::new(true) };
        browse_with(setup, async |browser| {
            browser.block("*.js").await;
            browser.goto("/").await;
            choose(browser, &[2]).await;
            browser.run("const button = document.querySelector('button'); button.click(); button.click()").await;
            browser.wait_for(".outcome").await;
            assert_eq!(voters(browser), 1, "pressed twice");
            vote_twice(browser, "/").await;
            assert_eq!(voters(browser), 2, "back-forward cache: {back_forward_cache}");
        });
    }
}

#[test]
fn a_reload_of_a_voters_result_votes_no_second_time() {
    browse_with(BARE, async |browser| {
        polls::create(&browser.server, "voters", |poll| poll.results = Visibility::AfterVote);
        browser.goto("/polls/voters").await;
        vote(browser, &[2]).await;
        browser.client.refresh().await.unwrap();
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
        assert_eq!(browser.texts(".count").await, ["0 votes", "1 vote", "0 votes", "0 votes", "0 votes"]);
    });
}
