//! Voting in a poll that requires a proof of work.

use throng_domain::poll::Proof;
use throng_testkit::{NOW, eventually_async, polls};

use crate::browser::voting::{choose, vote};
use crate::webdriver::{Browser, Setup, browse, browse_with};

const SOLVER: &str = include_str!("../../../../../web/proof.js");

fn voters(browser: &Browser) -> u64 {
    browser.server.get("/api/v1/polls/proven/results").json()["voters"].as_u64().unwrap()
}

fn create(browser: &Browser) {
    polls::create(&browser.server, "proven", |poll| poll.proof = Proof::Always);
}

/// Waits until the form has its proof, then runs a script.
async fn until_solved(browser: &Browser, then: &str) {
    let look = format!(
        "const done = arguments[0], form = document.querySelector('form');
         (function look() {{
           if (!form.elements.proof.value) return setTimeout(look, 20);
           {then};
           done();
         }})()"
    );
    browser.client.execute_async(&look, vec![]).await.unwrap();
}

#[test]
fn vote_is_counted_with_a_proof() {
    browse(true, async |browser| {
        create(browser);
        browser.goto("/polls/proven").await;
        vote(browser, &[2]).await;
        assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn expired_proof_is_made_anew() {
    browse(true, async |browser| {
        create(browser);
        browser.goto("/polls/proven").await;
        choose(browser, &[2]).await;
        until_solved(browser, "").await;
        browser.server.clock.set(NOW.plus_ms(300_000));
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn form_carries_the_proof_if_it_is_sent_by_itself() {
    browse(true, async |browser| {
        create(browser);
        browser.goto("/polls/proven").await;
        choose(browser, &[2]).await;
        until_solved(browser, "form.submit()").await;
        browser.wait_for(".outcome").await;
        assert_eq!(voters(browser), 1);
    });
}

#[test]
fn without_javascript_the_page_says_what_to_do() {
    browse_with(Setup::new(false), async |browser| {
        create(browser);
        browser.goto("/polls/proven").await;
        let notice = browser.wait_for("noscript .message").await.text().await.unwrap();
        assert!(notice.starts_with("Voting in this poll needs JavaScript"), "{notice}");
        browser.screenshot("phone-proof-without-script").await;
    });
}

#[test]
fn adaptive_poll_asks_for_a_proof_after_a_burst() {
    browse(true, async |browser| {
        polls::create(&browser.server, "proven", |poll| poll.proof = Proof::Adaptive);
        browser.goto("/polls/proven").await;
        choose(browser, &[2]).await;
        let poll = browser.server.app.polls.current().by_slug("proven").unwrap().poll.id;
        let mut connection = browser.server.connect();
        for vote in 0..300 {
            let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-{vote:012x}","choices":[1]}}"#);
            let headers = [("content-type", "application/json")];
            connection.request("POST", "/api/v1/polls/proven/ballots", &headers, body.as_bytes());
        }
        eventually_async("it asks for proofs", async || browser.server.app.anomalies.is_over(poll).then_some(())).await;
        let counted = voters(browser);
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        assert_eq!(
            (browser.texts(".own bdi").await, voters(browser)),
            (vec!["New discoveries".to_owned()], counted + 1)
        );
    });
}

/// Prints how long a slow phone takes. Only a page's own thread can be slowed down, not a worker, so it is solved there.
#[test]
fn slow_phone_solves_a_challenge() {
    browse(true, async |browser| {
        create(browser);
        browser.goto("/polls/proven").await;
        for slowdown in [1, 6] {
            browser.slow_down(slowdown).await;
            let id = "018f4d1e-7c00-7000-8000-000000000001";
            let given = browser.server.get(&format!("/api/v1/polls/proven/challenge?ballot_id={id}")).json();
            let challenge = given["challenge"].as_str().unwrap();
            let solve = format!(
                "let solved, onmessage; const postMessage = (proof) => solved = proof; {SOLVER}
                 const begun = performance.now(); onmessage({{ data: '{challenge}' }});
                 return [solved, performance.now() - begun]"
            );
            let solved = browser.run(&solve).await;
            println!("slowed down by {slowdown}: solved in {} ms", solved[1]);
            let ballot = serde_json::json!({"ballot_id": id, "choices": [1], "proof": solved[0]});
            let answer = browser.server.post("/api/v1/polls/proven/ballots", ballot.to_string().as_bytes());
            assert_eq!(answer.status, browser.server.taken(), "{answer:?}");
        }
    });
}
