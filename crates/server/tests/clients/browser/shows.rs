//! A show's page: it follows the show, and a vote on it counts in the poll that is on.

use throng_domain::audit::Author;
use throng_domain::show::Show;
use throng_testkit::{NOW, polls};

use crate::browser::voting::{choose, vote};
use crate::webdriver::{Browser, browse};

/// A show of two polls, of which the first is open for a minute, and the second after that.
fn create_show(browser: &Browser) {
    let server = &browser.server;
    polls::create(server, "song-1", |poll| {
        (poll.title, poll.closes_at) = ("The first song?".to_owned(), Some(NOW.plus_ms(60_000)));
    });
    polls::create(server, "song-2", |poll| {
        (poll.title, poll.opens_at) = ("The second song?".to_owned(), Some(NOW.plus_ms(120_000)));
    });
    let polls = ["song-1", "song-2"].map(|slug| slug.parse().unwrap()).into();
    let show = Show { slug: "finale".parse().unwrap(), title: "Finale".to_owned(), polls, version: 1 };
    let app = &server.app;
    let put = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            app.source.store.put_show(&show, &Author::THRONG).await.unwrap();
            app.shows.reload(&*app.source.store).await.unwrap();
        });
    };
    // A thread of its own, since the browser's runs a runtime.
    std::thread::scope(|scope| scope.spawn(put).join().unwrap());
}

#[test]
fn page_of_a_show_changes_to_the_poll_that_is_on() {
    browse(true, async |browser| {
        create_show(browser);
        browser.goto("/shows/finale").await;
        assert_eq!(browser.texts("h1").await, ["The first song?"]);
        vote(browser, &[2]).await;
        assert_eq!(browser.texts(".own bdi").await, ["New discoveries"]);
        assert_eq!(browser.client.current_url().await.unwrap().path(), "/shows/finale");
        // The first poll has closed: the page says when the next one opens.
        browser.server.clock.set(NOW.plus_ms(90_000));
        browser.wait_for("main[data-shown='song-2 scheduled']").await;
        assert_eq!(browser.texts("h1").await, ["The second song?"]);
        browser.screenshot("show-scheduled").await;
        browser.server.clock.set(NOW.plus_ms(120_000));
        browser.wait_for("form").await;
        browser.screenshot("show-open").await;
        choose(browser, &[3]).await;
        browser.click("button").await;
        browser.wait_for(".outcome").await;
        let voters = |slug: &str| browser.server.get(&format!("/api/v1/polls/{slug}/results")).json()["voters"].clone();
        assert_eq!((voters("song-1"), voters("song-2")), (1.into(), 1.into()));
    });
}

#[test]
fn page_of_a_show_works_without_script() {
    browse(false, async |browser| {
        create_show(browser);
        browser.goto("/shows/finale").await;
        vote(browser, &[1]).await;
        assert_eq!(browser.texts("h1").await, ["The first song?"]);
        assert_eq!(browser.server.get("/api/v1/polls/song-1/results").json()["voters"], 1);
    });
}
