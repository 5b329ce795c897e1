//! Options in an order of the ballot's own.

use std::collections::HashSet;

use throng_domain::poll::{Kind, Locale, OptionOrder};
use throng_testkit::polls;

use crate::browser::voting::{vote, voters};
use crate::webdriver::{Browser, browse};

const SHUFFLE: OptionOrder = OptionOrder::Shuffle;

/// The ids of the options, in the order in which the page shows them.
async fn order(browser: &Browser) -> Vec<String> {
    browser.wait_for("form").await;
    let ids =
        browser.run("return Array.from(document.querySelectorAll('.option input'), (input) => input.value)").await;
    ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_ballot_has_an_order_and_keeps_it() {
    browse(true, async |browser| {
        polls::create(&browser.server, "shuffled", |poll| poll.option_order = SHUFFLE);
        let mut orders = HashSet::new();
        for visit in 0..12 {
            browser.goto(&format!("/polls/shuffled?visit={visit}")).await;
            let shown = order(browser).await;
            browser.client.refresh().await.unwrap();
            assert_eq!(order(browser).await, shown, "reloaded");
            let mut sorted = shown.clone();
            sorted.sort();
            assert_eq!(sorted, ["1", "2", "3", "4", "5"]);
            orders.insert(shown);
        }
        assert!(orders.len() > 3, "{orders:?}");
        browser.screenshot("shuffled").await;
        let fixed = ["1", "2", "3", "4", "5"];
        browser.goto("/").await;
        assert_eq!(order(browser).await, fixed);
    });
}

#[test]
fn vote_counts_for_the_option_that_was_shown() {
    browse(true, async |browser| {
        polls::create(&browser.server, "shuffled", |poll| {
            (poll.option_order, poll.locale) = (SHUFFLE, Locale::Arabic);
            poll.title = "\u{623}\u{641}\u{636}\u{644} \u{623}\u{63a}\u{646}\u{64a}\u{629}\u{61f}".to_owned();
        });
        browser.goto("/polls/shuffled").await;
        browser.screenshot("shuffled-right-to-left").await;
        vote(browser, &[3]).await;
        assert_eq!(browser.texts(".own bdi").await, ["The light show"]);
        let results = browser.server.get("/api/v1/polls/shuffled/results").json();
        assert_eq!((&results["options"][2]["count"], &results["voters"]), (&1.into(), &1.into()));
        assert_eq!(voters(browser), 0, "in no other poll");
    });
}

#[test]
fn order_without_script_is_as_stored() {
    browse(false, async |browser| {
        polls::create(&browser.server, "shuffled", |poll| poll.option_order = SHUFFLE);
        browser.goto("/polls/shuffled").await;
        browser.wait_for("form [name=ballot_id]:not([value=''])").await;
        let first = browser.texts(".option bdi").await;
        assert_eq!(first[0], "Headliners");
        vote(browser, &[1]).await;
    });
}

#[test]
fn lists_of_ranks_and_options_to_score_are_shuffled() {
    browse(true, async |browser| {
        for (slug, kind) in [("ranks", Kind::Ranked), ("scores", Kind::Score)] {
            polls::create(&browser.server, slug, |poll| (poll.option_order, poll.kind) = (SHUFFLE, kind));
        }
        let (mut ranks, mut scores) = (HashSet::new(), HashSet::new());
        for visit in 0..6 {
            browser.goto(&format!("/polls/ranks?visit={visit}")).await;
            browser.wait_for("form").await;
            let lists = browser
                .run("return Array.from(document.querySelectorAll('select'), (list) => Array.from(list.options, (option) => option.value))")
                .await;
            let lists = lists.as_array().unwrap();
            assert!(lists.iter().all(|list| *list == lists[0] && list[0] == ""), "one order in all: {lists:?}");
            ranks.insert(lists[0].to_string());
            browser.goto(&format!("/polls/scores?visit={visit}")).await;
            scores.insert(browser.texts(".choice bdi").await);
        }
        assert!(ranks.len() > 2 && scores.len() > 2, "{ranks:?}, {scores:?}");
    });
}
