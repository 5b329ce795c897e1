//! The broker killed, frozen, cut off, full, alarmed, without its queue.

use std::net::SocketAddr;
use std::time::Duration;

use throng_testkit::Fault;
use tokio::time::Instant;

use crate::ledger::{Fate, Sent};
use crate::scaled_out::policy::wait_until_ready;
use crate::scaled_out::servers::RABBITMQ;
use crate::scaled_out::system::{Kind, System, wait_until_shown};
use crate::scaled_out::trial::{Trial, rounds, wait};
use crate::voters;

/// How long a vote may wait for a broker that doesn't answer: the deadline of its confirm, 3 s, and something for a
/// machine that has much else to do.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// How long votes may still be taken by a broker that has been told of an alarm, or is filling up.
const TAKEN_MAX: Duration = Duration::from_secs(30);

#[test]
fn killed_under_load() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let mut trial = Trial::of(&system);
        trial.under_load(|| {
            wait(Duration::from_millis(700));
            RABBITMQ.kill();
            wait(Duration::from_secs(2));
        });
        trial.recovers(Some(RABBITMQ));
        trial.settle();
    });
}

/// 100,000 ballots wait for a worker when the broker dies.
#[test]
fn killed_with_a_backlog() {
    const BACKLOG: u64 = 100_000;
    rounds(|| {
        let system = System::new(Kind::MySql, true, false);
        let mut trial = Trial::of(&system);
        trial.worker = None;
        let (url, rounds) = (format!("http://{}", trial.web.address), BACKLOG / 500);
        // It exits with 1, since nobody counts what it casts; what it was answered is in its report.
        let bench =
            system.run(&["bench", "--url", &url, "--clients", "500", "--rounds", &rounds.to_string(), "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&bench.stdout).unwrap();
        assert_eq!(report["votes"]["acknowledged"], BACKLOG, "{report}");
        RABBITMQ.kill();
        trial.recovers(Some(RABBITMQ));
        trial.worker = Some(system.worker());
        wait_until_shown(&trial.web, BACKLOG + 1);
        assert_eq!(system.stored().disagreements(), [""; 0]);
    });
}

#[test]
fn frozen_under_load() {
    rounds(|| {
        let system = System::new(Kind::MySql, true, false);
        let mut trial = Trial::of(&system);
        let address = trial.web.address;
        let sent = trial.under_load(|| {
            wait(Duration::from_millis(500));
            let _frozen = RABBITMQ.freeze();
            let mut sent = refused_within(address, ANSWER_MAX);
            wait(Duration::from_secs(2));
            sent.extend(refused_within(address, ANSWER_MAX));
            sent
        });
        trial.ledger.sent.extend(sent);
        trial.recovers(None);
        trial.settle();
    });
}

#[test]
fn cut_off_and_silent_under_load() {
    rounds(|| {
        let mut system = System::new(Kind::Postgres, true, false);
        let link = system.link_broker();
        let mut trial = Trial::of(&system);
        trial.under_load(|| {
            for _ in 0..3 {
                wait(Duration::from_millis(300));
                link.set(Fault::Unavailable);
                wait(Duration::from_millis(300));
                link.set(Fault::None);
                wait(Duration::from_millis(900));
            }
            link.set(Fault::Frozen);
            wait(Duration::from_secs(4));
            link.set(Fault::None);
        });
        trial.recovers(None);
        trial.settle();
    });
}

#[test]
fn alarmed_by_its_memory() {
    rounds(|| {
        let system = System::new(Kind::MySql, true, false);
        let mut trial = Trial::of(&system);
        let address = trial.web.address;
        let sent = trial.under_load(|| {
            wait(Duration::from_millis(300));
            RABBITMQ.control(&["set_vm_memory_high_watermark", "0.00001"]);
            let sent = refused_within(address, TAKEN_MAX);
            RABBITMQ.control(&["set_vm_memory_high_watermark", "0.4"]);
            sent
        });
        trial.ledger.sent.extend(sent);
        trial.recovers(None);
        trial.settle();
    });
}

/// Nobody has voted yet: the broker tells those alone that have published.
#[test]
fn alarm_is_known_before_the_first_vote() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let idle = system.web();
        RABBITMQ.control(&["set_vm_memory_high_watermark", "0.00001"]);
        let fresh = system.web();
        for node in [&idle, &fresh] {
            wait_until_ready(node, 503);
            let asked = Instant::now();
            let vote = voters::vote_once(node.address);
            assert_eq!(vote.fate, Fate::NotCounted, "{vote:?}");
            assert!(asked.elapsed() < Duration::from_secs(1), "the refusal took {:?}", asked.elapsed());
        }
        RABBITMQ.control(&["set_vm_memory_high_watermark", "0.4"]);
        for node in [&idle, &fresh] {
            wait_until_ready(node, 200);
        }
    });
}

#[test]
fn full() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let name = system.name();
        let mut trial = Trial::of(&system);
        // Nobody takes anything off the queue.
        trial.worker = None;
        let address = trial.web.address;
        let definition = r#"{"max-length":20,"overflow":"reject-publish"}"#;
        RABBITMQ.control(&["set_policy", "--apply-to", "queues", name, &format!("^{name}\\.ballots$"), definition]);
        let sent = trial.under_load(|| refused_within(address, TAKEN_MAX));
        trial.ledger.sent.extend(sent);
        RABBITMQ.control(&["clear_policy", name]);
        trial.recovers(None);
        trial.settle();
    });
}

#[test]
fn without_its_queue() {
    rounds(|| {
        let system = System::new(Kind::MySql, true, false);
        let mut trial = Trial::of(&system);
        trial.recovers(None);
        wait_until_shown(&trial.web, 1);
        // What was on the queue would be lost with it, by its administrator: there is nothing.
        RABBITMQ.control(&["delete_queue", &format!("{}.ballots", system.name())]);
        trial.recovers(None);
        trial.settle();
    });
}

/// Votes until one is refused with 503, or nobody knows what became of it; gives what was sent. Fails if none is within
/// `at_most`, or one waits for its answer for longer than that deadline of a confirm.
#[track_caller]
fn refused_within(address: SocketAddr, at_most: Duration) -> Vec<Sent> {
    let (began, mut sent) = (Instant::now(), Vec::new());
    loop {
        let asked = Instant::now();
        let vote = voters::vote_once(address);
        let (fate, waited) = (vote.fate, asked.elapsed());
        assert!(waited < ANSWER_MAX, "an answer took {waited:?}: {vote:?}");
        sent.push(vote);
        if fate != Fate::Counted {
            return sent;
        }
        assert!(began.elapsed() < at_most, "votes are still taken after {at_most:?}");
        wait(Duration::from_millis(20));
    }
}
