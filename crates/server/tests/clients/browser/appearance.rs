//! How pages look, on whatever they are shown.

use serde_json::json;
use throng_domain::poll::Kind;
use throng_testkit::polls;

use crate::browser::voting;
use crate::webdriver::{Browser, DESKTOP, NARROW, PHONE, Screen, browse};

const SCREENS: [(&str, Screen); 3] = [("phone", PHONE), ("narrow", NARROW), ("desktop", DESKTOP)];

/// Enough votes for bars of every length.
fn crowd_votes(browser: &Browser) {
    let mut connection = browser.server.connect();
    for voter in 0..120_u32 {
        let bars = [(1, 83), (2, 47), (3, 31), (4, 64), (5, 58)];
        let chosen = bars.iter().filter(|(option, percent)| (voter * 37 + option * 29) % 100 < *percent);
        let chosen: Vec<_> = chosen.map(|(option, _)| *option).collect();
        let body = if chosen.is_empty() { "[1]".to_owned() } else { format!("{chosen:?}") };
        assert_eq!(connection.request("POST", "/api/submit", &[], body.as_bytes()).status, 200);
    }
}

#[track_caller]
fn assert_sound(faults: &serde_json::Value, what: &str) {
    assert_eq!(*faults, json!([]), "{what}");
}

async fn look(browser: &Browser, name: &str) {
    browser.screenshot(name).await;
    assert_sound(&browser.run(include_str!("checks.js")).await, name);
}

#[test]
fn ballot_and_result_are_sound_on_every_screen_light_and_dark() {
    browse(true, async |browser| {
        crowd_votes(browser);
        for scheme in ["light", "dark"] {
            browser.prefer("prefers-color-scheme", scheme).await;
            for (name, screen) in SCREENS {
                browser.screen(screen).await;
                browser.goto("/").await;
                look(browser, &format!("{name}-{scheme}-ballot")).await;
                voting::vote(browser, &[1, 3]).await;
                look(browser, &format!("{name}-{scheme}-result")).await;
            }
        }
    });
}

#[test]
fn a_right_to_left_poll_is_laid_out_from_right_to_left() {
    browse(true, async |browser| {
        polls::create(&browser.server, "rtl", |poll| {
            poll.kind = Kind::Single;
            poll.title = "ما الذي يجعل المهرجان رائعًا؟".to_owned();
            poll.intro = "أخبر المنظمين بما تريد.".to_owned();
            poll.labels = ["النجوم", "اكتشافات جديدة", "عرض الأضواء", "Food and drink"].map(str::to_owned).into();
        });
        browser.screen(NARROW).await;
        browser.goto("/polls/rtl").await;
        for name in ["narrow-rtl-ballot", "narrow-rtl-result"] {
            if name.ends_with("result") {
                voting::vote(browser, &[2]).await;
            }
            look(browser, name).await;
            let direction = browser.run("return getComputedStyle(document.querySelector('main')).direction").await;
            assert_eq!(direction, "rtl");
        }
        let side = "const [bar, fill] = ['.own .bar', '.own .fill'].map((css) => document.querySelector(css));
                    return bar.getBoundingClientRect().right - fill.getBoundingClientRect().right";
        assert_eq!(browser.run(side).await, json!(0), "bars begin at the right");
        let side = "return getComputedStyle(document.querySelector('.voters')).textAlign";
        assert_eq!(browser.run(side).await, json!("right"));
    });
}

#[test]
fn long_and_many_words_wrap() {
    browse(true, async |browser| {
        polls::create(&browser.server, "long", |poll| {
            poll.title = "Donaudampfschifffahrtsgesellschaftskapitän ".repeat(4);
            poll.labels = vec!["W".repeat(200), "wide words ".repeat(18), "short".to_owned()];
        });
        browser.screen(NARROW).await;
        browser.goto("/polls/long").await;
        look(browser, "narrow-long-ballot").await;
        voting::vote(browser, &[1, 2]).await;
        look(browser, "narrow-long-result").await;
    });
}

#[test]
fn forced_colors_and_still_pages_are_sound() {
    browse(true, async |browser| {
        crowd_votes(browser);
        browser.prefer("forced-colors", "active").await;
        browser.goto("/").await;
        browser.click("label").await;
        browser.screenshot("phone-forced-ballot").await;
        voting::vote(browser, &[1]).await;
        browser.screenshot("phone-forced-result").await;
        let colors = "return ['.result:not(.own) .fill', '.own .fill', '.bar']
                        .map((css) => getComputedStyle(document.querySelector(css)).backgroundColor)";
        let colors = browser.run(colors).await;
        assert!(colors[0] != colors[2] && colors[1] != colors[2], "a bar is to be told from its ground: {colors}");

        browser.prefer("prefers-reduced-motion", "reduce").await;
        browser.goto("/").await;
        voting::vote(browser, &[1]).await;
        assert_eq!(browser.run("return document.getAnimations().length").await, json!(0));
    });
}
