//! Voting in a poll with invitation codes.

use fantoccini::Locator;
use throng_domain::policy::Policy;
use throng_domain::poll::Proof;
use throng_testkit::{codes, polls};

use crate::browser::voting::{choose, vote};
use crate::webdriver::{Browser, NARROW, browse};

fn create(browser: &Browser, proof: Proof) -> Vec<String> {
    polls::create(&browser.server, "board", |poll| (poll.policy, poll.proof) = (Policy::Code, proof));
    codes::create(&browser.server, "board", 2).0
}

fn voters(browser: &Browser) -> u64 {
    browser.server.get("/api/v1/polls/board/results").json()["voters"].as_u64().unwrap()
}

/// Types a code in the place of what is in the field.
async fn enter(browser: &Browser, code: &str) {
    let field = browser.client.find(Locator::Css("[name=code]")).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(code).await.unwrap();
}

#[test]
fn code_in_a_link_votes_once_and_leaves_the_address() {
    for javascript in [true, false] {
        browse(javascript, async |browser| {
            let codes = create(browser, Proof::Never);
            let link = format!("/polls/board?code={}", codes[0].to_lowercase());
            browser.goto(&link).await;
            vote(browser, &[2]).await;
            assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
            let address = browser.client.current_url().await.unwrap();
            assert!(!address.as_str().contains("code"), "{address}");
            browser.goto(&link).await;
            choose(browser, &[3]).await;
            browser.click("button").await;
            browser.wait_for(".message[autofocus]").await;
            let told = browser.texts(".message").await;
            assert_eq!(told, ["You have already voted. Your first vote stands; this one was not counted."]);
            assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
            assert_eq!(voters(browser), 1);
        });
    }
}

#[test]
fn code_that_is_wrong_is_corrected_on_the_page() {
    for (javascript, proof) in [(true, Proof::Never), (false, Proof::Never), (true, Proof::Always)] {
        browse(javascript, async |browser| {
            let codes = create(browser, proof);
            browser.goto("/polls/board").await;
            choose(browser, &[2]).await;
            // The browser itself asks for what is missing.
            browser.click("button").await;
            enter(browser, "0000-0000").await;
            browser.click("button").await;
            assert!(browser.has("[name=code]:invalid").await);
            enter(browser, "0000 0000 0000 000o").await;
            browser.click("button").await;
            browser.wait_for(".message[autofocus]").await;
            let told = browser.texts(".message").await.concat();
            assert!(told.starts_with("This code is not valid in this poll"), "{told}");
            enter(browser, &codes[1].replace('-', "")).await;
            browser.click("button").await;
            browser.wait_for(".outcome").await;
            assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
            assert_eq!(voters(browser), 1);
        });
    }
}

#[test]
fn outcome_stays_after_a_reload() {
    browse(true, async |browser| {
        let codes = create(browser, Proof::Never);
        browser.goto(&format!("/polls/board?code={}", codes[0])).await;
        vote(browser, &[2]).await;
        browser.client.refresh().await.unwrap();
        browser.wait_for(".outcome").await;
        assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
    });
}

#[test]
fn field_for_a_code_is_sound_on_a_narrow_screen() {
    browse(true, async |browser| {
        create(browser, Proof::Never);
        browser.screen(NARROW).await;
        for scheme in ["light", "dark"] {
            browser.prefer("prefers-color-scheme", scheme).await;
            browser.goto("/polls/board?code=0123-4567-89AB-CDEF").await;
            browser.screenshot(&format!("narrow-{scheme}-code")).await;
            let faults = browser.run(include_str!("checks.js")).await;
            assert_eq!(faults, serde_json::json!([]), "{scheme}");
        }
    });
}
