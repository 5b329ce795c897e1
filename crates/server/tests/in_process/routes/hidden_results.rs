//! Hidden results: two servers that differ in nothing but what is hidden answer alike.

use throng_domain::audit::Author;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::Visibility;
use throng_domain::poll_change::{Edit, PollChange};
use throng_testkit::{NOW, TestServer, eventually};

use crate::routes::crawler::{Crawled, assert_same, crawl};

const SETTINGS: [(&str, &str); 3] =
    [("APP_ENV", "prod"), ("DEFAULT_POLL", "hidden"), ("APP_SECRET", "7f3a9c7f3a9c7f3a9c7f3a9c7f3a9c7f")];

/// The number of ballots that were cast before.
const BEFORE: u64 = 4;

/// A server whose default poll shows its results to `results`, with ballots for these options.
fn server(results: Visibility, ballots: &[u16]) -> TestServer {
    let server = TestServer::start_with(&SETTINGS);
    let closes_at = Some(NOW.plus_ms(1_000_000));
    server.create_poll(NewPoll { results, closes_at, ..NewPoll::demo("hidden".parse().unwrap(), NOW) });
    for (number, option) in (1_u64..).zip(ballots) {
        assert_eq!(ballot(&server, number, &format!("[{option}]")).answer.status, server.taken());
    }
    server.settle();
    server
}

fn ballot(server: &TestServer, number: u64, choices: &str) -> Crawled {
    let path = "/api/v1/polls/hidden/ballots".to_owned();
    let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-{number:012x}","choices":{choices}}}"#);
    let answer = server.connect().request("POST", &path, &[("content-type", "application/json")], body.as_bytes());
    Crawled { request: format!("a ballot for {choices}"), path, answer }
}

/// What voters are answered, and everybody else on every route, also if they name a tag that a result of this server would have.
fn seen(server: &TestServer) -> Vec<Crawled> {
    let mut seen = crawl(server, "hidden");
    for number in [BEFORE + 1, 1] {
        for choices in ["[2]", "[9]", "[]"] {
            seen.push(ballot(server, number + 100, choices));
        }
    }
    let key = [("idempotency-key", "018f4d1e-7c00-7000-8000-0000000000bb"), ("content-type", "text/plain")];
    let path = "/api/submit".to_owned();
    let answer = server.connect().request("POST", &path, &key, b"[2]");
    seen.push(Crawled { request: "a ballot of the compatibility route".to_owned(), path, answer });
    for tag in (0..20).flat_map(|seq| (1..3).map(move |version| format!("W/\"{seq}-{version}-open\""))) {
        let path = "/api/v1/polls/hidden/results".to_owned();
        let answer = server.connect().request("GET", &path, &[("if-none-match", &tag)], b"");
        seen.push(Crawled { request: format!("results unless {tag}"), path, answer });
    }
    seen
}

/// The names and labels of the metrics, and the values of those that count ballots.
fn metrics(server: &TestServer) -> Vec<String> {
    let metrics = server.get("/metrics");
    let is_counted = |line: &str| line.starts_with("throng_ballots");
    let named =
        |line: &str| if is_counted(line) { line.to_owned() } else { line.rsplit_once(' ').unwrap().0.to_owned() };
    let mut samples: Vec<_> = metrics.text().lines().filter(|line| !line.starts_with('#')).map(named).collect();
    samples.sort();
    samples
}

/// S18: by choices alone nothing differs, the metrics neither; by the number of ballots, nothing but the metrics of the whole server.
#[test]
fn nothing_of_a_hidden_result_is_told_on_any_route() {
    for results in [Visibility::AfterClose, Visibility::Never] {
        let [one, other, fewer] = [&[1, 1, 1, 1][..], &[2, 3, 3, 5], &[4]].map(|ballots| server(results, ballots));
        let (seen_of_one, seen_of_other) = (seen(&one), seen(&other));
        assert_same(&seen_of_one, &seen_of_other, &["/metrics"]);
        assert_eq!(metrics(&one), metrics(&other));
        assert_same(&seen_of_one, &seen(&fewer), &["/metrics"]);
        assert!(!metrics(&one).concat().contains("hidden"), "nothing is labelled by poll");
    }
}

/// S18: with `after_vote`, who hasn't voted is told nothing.
#[test]
fn nothing_is_told_before_a_vote() {
    let [one, other] = [&[1, 1, 1, 1][..], &[4]].map(|ballots| server(Visibility::AfterVote, ballots));
    assert_same(&crawl(&one, "hidden"), &crawl(&other, "hidden"), &["/metrics"]);
}

/// S18: nor by what was public and cached until a moment ago.
#[test]
fn nothing_is_told_once_it_is_hidden() {
    let servers = [&[1, 1, 1, 1][..], &[4]].map(|ballots| server(Visibility::Always, ballots));
    let warm = servers.each_ref().map(|server| crawl(server, "hidden"));
    let bodies = |crawled: &[Crawled]| crawled.iter().map(|crawled| crawled.answer.body.clone()).collect::<Vec<_>>();
    assert_ne!(bodies(&warm[0]), bodies(&warm[1]), "they show what they have");
    for server in &servers {
        let edit = PollChange::Edit(Edit { results: Some(Visibility::Never), ..Edit::default() });
        let version = server.database.with_store(async |store| {
            let poll = store.poll(&"hidden".parse().unwrap()).await.unwrap().unwrap();
            store.change_poll(poll.id, poll.version, edit, &Author::THRONG).await.unwrap().version
        });
        eventually("the server sees the edit", || {
            let polls = server.app.polls.current();
            polls.by_slug("hidden").is_some_and(|live| live.poll.version >= version).then_some(())
        });
    }
    let [one, other] = servers.each_ref().map(seen);
    assert_same(&one, &other, &["/metrics"]);
}
