//! Workers and web nodes killed, stopped, and made to crash again and again.

use std::time::Duration;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::scaled_out::queue::Queue;
use crate::scaled_out::servers::RABBITMQ;
use crate::scaled_out::system::{Kind, System, wait_until_shown_within};
use crate::scaled_out::trial::{Trial, VOTERS, rounds, wait};

/// The moment of a kill, in milliseconds from the start of the load.
const KILL_AT_MS: std::ops::Range<u64> = 50..1_000;

/// How often a worker is killed in a round.
const WORKERS_KILLED: usize = 10;

/// How often a worker crashes with the same ballots in its hands. Brokers give up after 20 times unless told not to.
const CRASHES: usize = 25;

#[test]
fn workers_killed_under_load() {
    rounds(|| {
        for kind in [Kind::MySql, Kind::Postgres] {
            let system = System::new(kind, true, false);
            let mut trial = Trial::of(&system);
            let (moments, mut worker) = (moments(&mut trial), trial.worker.take());
            worker = trial.under_load(|| {
                for moment in moments {
                    wait(moment);
                    if let Some(worker) = worker.take() {
                        worker.kill();
                    }
                    worker = Some(system.worker());
                }
                worker
            });
            trial.worker = worker;
            trial.settle();
        }
    });
}

fn moments(trial: &mut Trial<'_>) -> Vec<Duration> {
    let mut moment = || Duration::from_millis(trial.ledger.random.random_range(KILL_AT_MS));
    (0..WORKERS_KILLED).map(|_| moment()).collect()
}

#[test]
fn a_web_node_killed_under_load() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let mut trial = Trial::of(&system);
        let other = system.web();
        let moment = moments(&mut trial)[0];
        let web = std::mem::replace(&mut trial.web, other);
        trial.ledger.voters_while(web.address, VOTERS, || {
            wait(moment);
            web.kill();
        });
        catches_up(&trial);
        trial.settle();
    });
}

#[test]
fn a_web_node_stopped_under_load() {
    rounds(|| {
        let system = System::new(Kind::MySql, true, false);
        let mut trial = Trial::of(&system);
        let other = system.web();
        let mut web = std::mem::replace(&mut trial.web, other);
        trial.ledger.voters_while(web.address, VOTERS, || {
            wait(Duration::from_millis(500));
            web.terminate();
            let (status, said) = web.ended();
            assert!(status.success(), "{said}");
        });
        assert_eq!(trial.ledger.witness.cuts(), 0, "requests were cut off");
        catches_up(&trial);
        trial.settle();
    });
}

/// Waits until the node shows what another one has shown: it receives results a moment later. On one node, none goes back.
fn catches_up(trial: &Trial<'_>) {
    let (_, voters) = trial.ledger.witness.before();
    wait_until_shown_within(&trial.web, voters..=u64::MAX);
}

#[test]
fn a_worker_stopped_under_load() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let mut trial = Trial::of(&system);
        let mut worker = trial.worker.take().unwrap();
        trial.under_load(|| {
            wait(Duration::from_millis(500));
            worker.terminate();
            let (status, said) = worker.ended();
            assert!(status.success(), "{said}");
        });
        trial.settle();
    });
}

/// Each has taken the ballots, and dies before it can record them.
#[test]
fn crashes_over_the_same_ballots() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, false);
        let mut trial = Trial::of(&system);
        trial.worker = None;
        trial.under_load(|| wait(Duration::from_millis(300)));
        std::thread::scope(|scope| {
            let locking = scope.spawn(|| system.try_sql("BEGIN; LOCK TABLE ballot; SELECT pg_sleep(300)"));
            for _ in 0..CRASHES {
                let worker = system.worker();
                wait(Duration::from_millis(300));
                worker.kill();
            }
            let other = "pid <> pg_backend_pid() AND query LIKE '%pg_sleep(300)%'";
            system.sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {other}"));
            assert!(locking.join().unwrap().is_err(), "the table was locked all the time");
        });
        trial.worker = Some(system.worker());
        let queues = RABBITMQ.control(&["list_queues", "--quiet", "name", "messages"]);
        let set_aside = format!("{}.dead\t", system.name());
        let set_aside = queues.lines().find_map(|line| line.strip_prefix(&set_aside));
        assert_eq!(set_aside, Some("0"), "messages were set aside: {queues}");
        trial.settle();
    });
}

/// A third of what is on the queue comes twice, and all of it in another order.
#[test]
fn messages_doubled_and_shuffled() {
    rounds(|| {
        for kind in [Kind::MySql, Kind::Postgres] {
            let system = System::new(kind, true, false);
            let mut trial = Trial::of(&system);
            trial.worker = None;
            trial.under_load(|| wait(Duration::from_millis(500)));
            let queue = Queue::of(&system);
            let mut messages = queue.take_all();
            assert!(messages.len() >= 3, "too few messages for one of them to be doubled");
            messages.extend_from_within(..messages.len() / 3);
            messages.shuffle(&mut trial.ledger.random);
            println!("{} messages are put back", messages.len());
            queue.put(&messages);
            trial.settle();
        }
    });
}
