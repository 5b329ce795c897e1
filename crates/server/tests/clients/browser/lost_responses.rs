//! Votes whose responses are lost after they were counted: none counts twice, and none is denied.

use std::net::SocketAddr;

use fantoccini::Locator;
use fantoccini::error::CmdError;
use throng_testkit::Response;

use crate::browser::voting::{choose, voters};
use crate::front::Front;
use crate::webdriver::{Browser, Setup, browse, browse_with};

/// Voters of each test: this many, and fewer behind proxies, unless `cargo xtask proxies resends` asks for more.
const VOTERS: u64 = 12;
const VOTERS_BEHIND_PROXY: u64 = 4;

/// How browsers vote in a test.
#[derive(Clone, Copy)]
struct Crowd {
    voters: u64,
    /// What is between them and the go-between that loses responses.
    front: Option<fn(SocketAddr) -> Front>,
}

impl Crowd {
    fn new(voters: u64, front: Option<fn(SocketAddr) -> Front>) -> Self {
        let asked_for = std::env::var("THRONG_RESEND_VOTERS").map(|number| number.parse().unwrap());
        Self { voters: asked_for.unwrap_or(voters), front }
    }
}

/// The fates of a voter's first responses: different ones for each voter, the same in every run.
fn fates(voter: u64, most: u64) -> Vec<Response> {
    let mut random = voter.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        // xorshift64 (Marsaglia, 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let all = [
        Response::Lost,
        Response::Replaced(503),
        Response::Replaced(502),
        Response::Replaced(429),
        Response::Replaced(403),
    ];
    (0..=next(most)).map(|_| all[usize::try_from(next(5)).unwrap()]).collect()
}

async fn without_pauses(browser: &Browser) {
    browser.run("window.setTimeout = (later) => queueMicrotask(later)").await;
}

/// Chooses the first and the third option, where they aren't chosen, and votes; fails if the page has gone.
async fn press(browser: &Browser) -> Result<(), CmdError> {
    for option in browser.client.find_all(Locator::Css("[value='1']:not(:checked), [value='3']:not(:checked)")).await? {
        option.click().await?;
    }
    browser.client.find(Locator::Css("button")).await?.click().await
}

#[test]
fn a_gateways_503_is_not_taken_for_ours() {
    browse(true, async |browser| {
        browser.goto("/").await;
        without_pauses(browser).await;
        browser.proxy.plan("POST", &[Response::Replaced(503); 6]);
        choose(browser, &[4]).await;
        browser.click("button").await;
        browser.wait_for(".message:not(:empty)").await;
        let message = browser.texts(".message").await.concat();
        assert!(!message.contains("not counted"), "it was: {message}");
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        assert_eq!((browser.proxy.lost(), voters(browser)), (6, 1));
    });
}

#[test]
fn lost_responses_double_no_vote_with_script() {
    vote_with_script(Crowd::new(VOTERS, None));
}

#[test]
fn lost_responses_double_no_vote_without_script() {
    vote_without_script(Crowd::new(VOTERS, None));
}

#[test]
fn lost_responses_double_no_vote_behind_nginx() {
    vote_behind(Front::nginx);
}

#[test]
fn lost_responses_double_no_vote_behind_apache() {
    vote_behind(Front::apache);
}

#[test]
fn lost_responses_double_no_vote_behind_haproxy() {
    vote_behind(Front::haproxy);
}

/// Behind a proxy with its configuration in `deploy/`.
fn vote_behind(front: fn(SocketAddr) -> Front) {
    let crowd = Crowd::new(VOTERS_BEHIND_PROXY, Some(front));
    vote_with_script(crowd);
    vote_without_script(crowd);
}

fn vote_with_script(Crowd { voters: count, front }: Crowd) {
    browse_with(Setup { front, ..Setup::new(true) }, async |browser| {
        for voter in 1..=count {
            browser.goto("/").await;
            without_pauses(browser).await;
            browser.proxy.plan("POST", &fates(voter, 9));
            choose(browser, &[1, 3]).await;
            // As many are lost as there are tries, now and then: the voter presses again.
            while !browser.has(".outcome").await {
                browser.click("button:enabled, .outcome").await;
                browser.wait_for(".message:not(:empty), .outcome").await;
            }
            assert_eq!(voters(browser), voter);
        }
        report(browser, count, "with script");
    });
}

fn vote_without_script(Crowd { voters: count, front }: Crowd) {
    browse_with(Setup { front, ..Setup::new(false) }, async |browser| {
        for voter in 1..=count {
            browser.goto("/").await;
            browser.proxy.plan("POST", &fates(voter, 3));
            choose(browser, &[1, 3]).await;
            // Whoever gets an error goes back, and votes again. A page may be gone before it is pressed.
            while !browser.has(".outcome").await {
                if browser.has("form").await {
                    let _ = press(browser).await;
                } else {
                    browser.client.back().await.unwrap();
                }
            }
            browser.wait_for(".outcome").await;
            assert_eq!(voters(browser), voter);
        }
        report(browser, count, "without script");
    });
}

fn report(browser: &Browser, count: u64, script: &str) {
    let lost = browser.proxy.lost();
    println!("{script}: {count} voters, {lost} responses lost, each voter counted once");
    assert!(u64::try_from(lost).unwrap() > count, "{lost}");
}
