//! What a server shows of a poll that another process edits while it serves it.

use throng_domain::audit::Author;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{OptionId, Visibility};
use throng_domain::poll_change::{Edit, PollChange};
use throng_testkit::{NOW, TestServer, eventually};

/// Edits the demo poll as another process does, and waits until the server has seen it.
fn edit(server: &TestServer, edit: Edit) {
    let version = server.database.with_store(async |store| {
        let poll = store.poll(&"demo".parse().unwrap()).await.unwrap().unwrap();
        store.change_poll(poll.id, poll.version, PollChange::Edit(edit), &Author::THRONG).await.unwrap().version
    });
    eventually("the server sees the edit", || {
        let polls = server.app.polls.current();
        polls.by_slug("demo").is_some_and(|live| live.poll.version >= version).then_some(())
    });
}

#[test]
fn corrected_label_is_shown_with_a_new_tag_and_the_same_counts() {
    let server = TestServer::start();
    server.vote(b"[1,3]");
    let (poll, results) = (server.get("/api/v1/polls/demo"), server.get("/api/v1/polls/demo/results"));
    edit(&server, Edit { labels: vec![(OptionId(1), "Corrected".to_owned())], ..Edit::default() });
    let (edited, counts) = (server.get("/api/v1/polls/demo"), server.get("/api/v1/polls/demo/results"));
    assert_eq!(edited.json()["options"][0]["label"], "Corrected");
    assert_eq!(counts.json()["options"][0]["label"], "Corrected");
    assert_eq!(counts.json()["options"][0]["count"], 1);
    assert_ne!(poll.header("etag"), edited.header("etag"));
    assert_ne!(results.header("etag"), counts.header("etag"));
    assert!(server.get("/").text().contains("Corrected"));
    server.vote(b"[1]");
    let later = eventually("the next ballot is counted", || {
        let results = server.get("/api/v1/polls/demo/results").json();
        (results["voters"] == 2).then_some(results)
    });
    assert!(later["seq"].as_u64() > results.json()["seq"].as_u64().map(|seq| seq + 1), "an edit is a change: {later}");
}

/// S18: what was public a moment ago is hidden on every route, for everyone.
#[test]
fn results_that_are_hidden_from_now_on_leak_nowhere() {
    let server = TestServer::start();
    server.vote(b"[2]");
    assert_eq!(server.get("/api/v1/polls/demo/results").status, 200);
    edit(&server, Edit { results: Some(Visibility::Never), ..Edit::default() });
    let hidden = server.get("/api/v1/polls/demo/results");
    assert_eq!((hidden.status, hidden.header("etag")), (403, None));
    assert_eq!(server.get("/api/result").text(), "{}");
    assert_eq!(server.post("/api/submit", b"[2]").text(), "{}");
}

#[test]
fn options_of_a_poll_that_is_not_open_yet_change_with_the_result() {
    let server = TestServer::start_with(&[("APP_ENV", "prod")]);
    let scheduled = NewPoll { opens_at: Some(NOW.plus_ms(3_600_000)), ..NewPoll::demo("demo".parse().unwrap(), NOW) };
    server.create_poll(scheduled);
    edit(&server, Edit { added: vec!["Sixth".to_owned()], removed: vec![OptionId(2)], ..Edit::default() });
    server.set_window("demo", Some(NOW), None);
    assert_eq!(server.vote(b"[6]"), r#"{"1":0,"3":0,"4":0,"5":0,"6":1}"#);
    let refused = server.post("/api/v1/polls/demo/ballots", br#"{"choices":[2]}"#);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &"invalid_choice".into()));
}

#[test]
fn text_that_voters_agree_to_is_above_the_button() {
    let server = TestServer::start();
    assert!(!server.get("/").text().contains("id=\"consent\""));
    edit(&server, Edit { consent: Some("I agree to the <rules>.".to_owned()), ..Edit::default() });
    let page = server.get("/").text().to_owned();
    let (text, button) = (page.find("I agree to the &#60;rules&#62;."), page.find("<button type=\"submit\""));
    assert!(text.is_some() && text < button, "{page}");
    assert!(page.contains("aria-describedby=\"consent\""));
    assert_eq!(server.get("/api/v1/polls/demo").json()["consent"], "I agree to the <rules>.");
}
