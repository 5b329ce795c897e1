//! Ranking options, and giving them scores.

use fantoccini::Locator;
use throng_domain::poll::Kind;
use throng_testkit::polls;

use crate::webdriver::{Browser, browse};

/// Chooses this value in the list with this number, from 0, as a voter does.
async fn select(browser: &Browser, list: usize, value: &str) {
    let lists = browser.client.find_all(Locator::Css("form select")).await.unwrap();
    lists[list].select_by_value(value).await.unwrap();
}

fn ranked(browser: &Browser) {
    polls::create(&browser.server, "host", |poll| {
        poll.kind = Kind::Ranked;
        poll.labels = ["Oslo", "Rome", "Riga"].map(str::to_owned).into();
    });
}

#[test]
fn ranking_is_sent_without_leaving_the_page() {
    browse(true, async |browser| {
        ranked(browser);
        browser.goto("/polls/host").await;
        assert_eq!(browser.texts(".choice > span").await, ["1st choice", "2nd choice", "3rd choice"]);
        browser.run("document.querySelector('form').noValidate = true").await;
        browser.click("button").await;
        assert_eq!(browser.texts(".message").await, ["Choose an option first, then vote."]);
        select(browser, 0, "3").await;
        select(browser, 1, "3").await;
        browser.click("button").await;
        assert_eq!(browser.texts(".message").await, ["You gave an option two ranks. Give each option one, then vote."]);
        select(browser, 1, "").await;
        select(browser, 2, "1").await;
        browser.screenshot("phone-ranked").await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".count").await, ["0 votes", "0 votes", "1 vote"]);
        assert_eq!(browser.texts(".own bdi").await, ["Riga"]);
        browser.client.refresh().await.unwrap();
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["Riga"], "reloading shows the outcome");
        let results = browser.server.get("/api/v1/polls/host/results").json();
        assert_eq!((&results["winner"], &results["voters"]), (&3.into(), &1.into()));
        assert_eq!(results["pairwise"]["matrix"][0][1], 1, "Oslo was ranked, Rome wasn't");
    });
}

#[test]
fn ranking_needs_no_script() {
    browse(false, async |browser| {
        ranked(browser);
        browser.goto("/polls/host").await;
        browser.wait_for("form [name=ballot_id]:not([value=''])").await;
        select(browser, 0, "2").await;
        select(browser, 1, "1").await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, ["Rome"]);
        assert_eq!(browser.server.get("/api/v1/polls/host/results").json()["pairwise"]["matrix"][0][2], 1);
    });
}

#[test]
fn scores_are_sent_without_leaving_the_page() {
    browse(true, async |browser| {
        polls::create(&browser.server, "songs", |poll| {
            poll.kind = Kind::Score;
            poll.labels = ["Alpha", "Beta"].map(str::to_owned).into();
        });
        browser.goto("/polls/songs").await;
        assert_eq!(browser.texts(".choice > span").await, ["Alpha", "Beta"]);
        select(browser, 0, "4").await;
        select(browser, 1, "0").await;
        browser.click("button").await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".count").await, ["4 points", "0 points"]);
        assert_eq!(browser.texts(".share").await, ["100%", "0%"]);
        assert_eq!(browser.texts(".own bdi").await, ["Alpha"]);
        assert_eq!(browser.server.get("/api/v1/polls/songs/results").json()["scores"]["options"][1]["ballots"], 1);
    });
}
