//! Results in version 1.

use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Kind, PercentBase};
use throng_testkit::{NOW, TestServer};

const RESULTS: &str = "/api/v1/polls/demo/results";

#[test]
fn nothing_counted_is_a_result_too() {
    let server = TestServer::start();
    let answer = server.get(RESULTS);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let results = answer.json();
    assert_eq!((results["poll"].as_str(), results["state"].as_str()), (Some("demo"), Some("open")));
    assert_eq!((&results["kind"], &results["percent_base"]), (&"multiple".into(), &"voters".into()));
    assert_eq!([&results["seq"], &results["voters"], &results["selections"]], [0, 0, 0]);
    assert_eq!((results["provisional"].as_bool(), results["stale"].as_bool()), (Some(true), Some(false)));
    assert_eq!(results["as_of"], "2100-01-01T00:00:00.000Z");
    assert!(results["options"].as_array().unwrap().iter().all(|option| option["percent"] == 0.0), "{results}");
}

#[test]
fn counts_and_percentages_are_exact() {
    let server = TestServer::start();
    server.create_poll(NewPoll {
        percent_base: PercentBase::Selections,
        ..NewPoll::demo("selections".parse().unwrap(), NOW)
    });
    server.create_poll(NewPoll { kind: Kind::Single, ..NewPoll::demo("single".parse().unwrap(), NOW) });
    let mut number = 0;
    for choices in ["[1,2,3]", "[1,2]", "[1]"] {
        for slug in ["demo", "selections"] {
            number += 1;
            let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-{number:012}","choices":{choices}}}"#);
            assert_eq!(server.post(&format!("/api/v1/polls/{slug}/ballots"), body.as_bytes()).status, server.taken());
        }
    }
    for choice in [1, 2, 3] {
        number += 1;
        let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-{number:012}","choices":[{choice}]}}"#);
        assert_eq!(server.post("/api/v1/polls/single/ballots", body.as_bytes()).status, server.taken());
    }
    let seen = |slug: &str, selections| {
        let results = server.get(&format!("/api/v1/polls/{slug}/results")).json();
        assert_eq!((results["voters"].as_u64(), results["selections"].as_u64()), (Some(3), Some(selections)));
        let options = results["options"].as_array().unwrap().clone();
        let line = |option: &serde_json::Value| {
            (option["id"].as_u64().unwrap(), option["count"].as_u64().unwrap(), option["percent"].as_f64().unwrap())
        };
        options.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(seen("demo", 6), [(1, 3, 100.0), (2, 2, 66.7), (3, 1, 33.3), (4, 0, 0.0), (5, 0, 0.0)]);
    assert_eq!(seen("selections", 6), [(1, 3, 50.0), (2, 2, 33.3), (3, 1, 16.7), (4, 0, 0.0), (5, 0, 0.0)]);
    assert_eq!(seen("single", 3), [(1, 1, 33.4), (2, 1, 33.3), (3, 1, 33.3), (4, 0, 0.0), (5, 0, 0.0)]);
}

#[test]
fn the_version_grows_with_every_counted_ballot_and_only_then() {
    let server = TestServer::start();
    let seq = || server.get(RESULTS).json()["seq"].as_u64().unwrap();
    let mut last = seq();
    for _ in 0..5 {
        server.post("/api/submit", b"[1]");
        let now = seq();
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    server.post("/api/submit", b"[6]");
    assert_eq!(seq(), last);
}

#[test]
fn a_result_never_goes_back_while_a_crowd_votes() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = server.connect();
                let mut last = 0;
                for _ in 0..25 {
                    assert_eq!(connection.request("POST", "/api/submit", &[], b"[1]").status, 200);
                    let results = connection.request("GET", RESULTS, &[], b"").json();
                    let seq = results["seq"].as_u64().unwrap();
                    // Behind a broker a ballot of our own may still be on its way.
                    let newer = if server.is_behind_a_broker() { seq >= last } else { seq > last };
                    assert!(newer, "{seq} after {last}, with a ballot of our own between");
                    last = seq;
                }
            });
        }
    });
    assert_eq!(server.voters(), 200);
}

#[test]
fn who_has_it_already_is_told_so_until_it_changes() {
    let server = TestServer::start();
    server.post("/api/submit", b"[1]");
    let etag = server.get(RESULTS).header("etag").unwrap().to_owned();
    let asked = [("if-none-match", etag.as_str())];
    let mut connection = server.connect();
    connection.send_request("GET", RESULTS, &asked, b"");
    let known = connection.head().unwrap();
    assert_eq!((known.status, known.header("etag")), (304, Some(&*etag)));
    assert_eq!(known.header("cache-control"), server.get(RESULTS).header("cache-control"));
    // The length would be that of the answer that it stands for.
    connection.send_request("HEAD", RESULTS, &asked, b"");
    let head = connection.head().unwrap();
    assert_eq!((head.status, head.header("content-length")), (304, None), "{head:?}");
    assert_eq!((head.header("transfer-encoding"), head.header("connection")), (None, None), "{head:?}");
    // No byte of a body came before the next answer.
    assert_eq!(connection.request("POST", "/api/submit", &[], b"[2]").status, 200);
    server.settle();
    let changed = connection.request("GET", RESULTS, &asked, b"");
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(&*etag));
    assert_eq!(changed.json()["voters"], 2);
}

#[test]
fn a_shared_cache_may_keep_it_for_a_second() {
    let server = TestServer::start();
    let results = server.get(RESULTS);
    assert_eq!(results.header("cache-control"), Some("public, max-age=0, s-maxage=1, stale-while-revalidate=0"));
    // No browser is to show its voter an older result meanwhile.
    assert_eq!(results.header("cdn-cache-control"), Some("public, max-age=1, stale-while-revalidate=5"));
}

#[test]
fn it_is_provisional_until_no_ballot_can_come_any_more() {
    let server = TestServer::start();
    server.create_poll(NewPoll { closes_at: Some(NOW.plus_ms(20)), ..NewPoll::demo("timed".parse().unwrap(), NOW) });
    let mut tags = Vec::new();
    for (at, state, provisional) in [
        (0, "open", true),
        (19, "open", true),
        (20, "closing", true),
        (10_019, "closing", true),
        (10_020, "end", false),
    ] {
        server.clock.set(NOW.plus_ms(at));
        let state = if state == "end" { server.ended("timed") } else { state };
        let provisional = provisional || state == "closing";
        let answer = server.get("/api/v1/polls/timed/results");
        let results = answer.json();
        let seen = (results["state"].as_str(), results["provisional"].as_bool());
        assert_eq!(seen, (Some(state), Some(provisional)), "after {at} ms");
        // Behind a broker a node may not have heard lately how things stand, and says so in its tag.
        tags.push(answer.header("etag").unwrap().replace("-stale", ""));
    }
    let last = tags.pop().unwrap();
    let is_final = server.ended("timed") == "final";
    assert!(!is_final || !tags.contains(&last), "a cached result must not hide that it became final: {tags:?} {last}");
    assert_eq!(tags[0], tags[1]);
    assert_ne!(tags[1], tags[2]);
}

/// S26: a slug with a character that ends a command of the cache, or a key, names no poll, and the cache goes on working.
#[test]
fn slug_is_no_part_of_a_cache_key() {
    let server = TestServer::start();
    for slug in ["de%20mo", "demo%0d%0aflush_all%0d%0a", "demo%00", "demo%0a", &"d".repeat(300), "%c3%a9"] {
        server.get(&format!("/api/v1/polls/{slug}/results")).assert_problem(404, "poll_not_found");
        server.get(&format!("/api/v1/polls/{slug}")).assert_problem(404, "poll_not_found");
    }
    server.vote(b"[1]");
    server.settle();
    assert_eq!(server.voters(), 1);
}
