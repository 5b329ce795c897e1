//! A poll is closed from the shell while a crowd votes in it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use throng_testkit::{Client, DataDir, Reply, wait_until};

const VOTERS: usize = 16;

/// How many have voted when the poll is closed.
const VOTES_BEFORE: usize = 200;

#[test]
fn a_close_under_load_counts_nothing_that_came_later() {
    let data_dir = DataDir::new();
    let throng = data_dir.start();
    let taken = AtomicUsize::new(0);
    let run = |arguments: &[&str]| {
        let ran = data_dir.command(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let closed = thread::scope(|scope| {
        for _ in 0..VOTERS {
            scope.spawn(|| {
                let mut client = Client::new(throng.address);
                while is_taken(&client.post("/api/submit", "[1]")) {
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("some have voted", || taken.load(Ordering::Relaxed) >= VOTES_BEFORE);
        run(&["poll", "close", "demo", "--json"])
    });
    let closed: Value = serde_json::from_str(&closed).unwrap();
    let closes_at = closed["closes_at"].as_str().unwrap();
    let exported = run(&["poll", "export", "demo"]);
    let times: Vec<_> = exported.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(times.len(), taken.into_inner(), "what is answered 2xx is counted, and nothing else");
    let late: Vec<_> = times.into_iter().filter(|at| *at >= closes_at).collect();
    assert!(late.is_empty(), "the poll closed at {closes_at}, and these count: {late:?}");
}

/// Whether a ballot was taken: not, once the poll has closed.
fn is_taken(reply: &Reply) -> bool {
    match reply {
        Reply::Answer(answer) if answer.status == 200 => true,
        Reply::Answer(answer) if answer.status == 410 => false,
        reply @ (Reply::Answer(_) | Reply::NotSent | Reply::Cut) => panic!("a ballot was answered {reply:?}"),
    }
}
