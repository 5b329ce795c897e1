//! When a result is final behind a broker: while workers run, and never while one of them, or anybody else, may hold a ballot.
//!
//! Each test waits the minute out from the close, after which no node answers what arrived before.

use std::time::Duration;

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use throng_testkit::{Client, Reply, ThrongProcess, eventually};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::ledger::{Ledger, seed};
use crate::scaled_out::queue::Queue;
use crate::scaled_out::servers::shared;
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::wait;

/// How long after a close its result is final at the soonest.
const FINAL_AFTER: Duration = Duration::from_secs(60);

/// How much longer it may take, on a machine that has much else to do.
const FINAL_WITHIN: Duration = Duration::from_secs(120);

/// How long it is watched that a result isn't final which nobody could say is: some rounds.
const WATCHED: Duration = Duration::from_secs(8);

/// A poll that is closed while workers run, and votes for another all the while.
#[test]
fn with_workers_at_work_for_another_poll() {
    let _peace = shared();
    let system = System::new(Kind::Postgres, true, false);
    let (web, other_web) = (system.web(), system.web());
    let _workers = [system.worker(), system.worker()];
    system.output(&["poll", "create", "song", "--title", "Best?", "--option", "A", "--option", "B"]);
    system.output(&["poll", "open", "song"]);
    eventually("both nodes know the poll", || {
        let is_open = |node: &ThrongProcess| {
            let reply = Client::new(node.address).get("/api/v1/polls/song");
            matches!(reply, Reply::Answer(answer) if answer.status == 200 && answer.json()["state"] == "open")
        };
        (is_open(&web) && is_open(&other_web)).then_some(())
    });
    Ledger::behind_broker(seed()).voters_while(other_web.address, 4, || {
        let voters = vote(&web, "song", 200);
        let closed = close(&system, "song");
        is_final_with(&web, "song", voters, closed);
    });
    println!("another poll has {} ballots", system.stored().voters);
}

/// Web node and worker share a file; a message that can't be read holds the result until it is dealt with.
#[test]
fn on_one_machine_with_a_dead_letter() {
    let _peace = shared();
    let mut system = System::new(Kind::Postgres, true, false);
    let directory = throng_testkit::directory_on_disk();
    system.set("DATABASE_URL", &format!("sqlite://{}", directory.path().join("throng.db").display()));
    let web = system.web();
    let _worker = system.worker();
    let voters = vote(&web, "demo", 50);
    Queue::of(&system).put(&[(Default::default(), b"junk".to_vec())]);
    let closed = close(&system, "demo");
    wait(FINAL_AFTER.saturating_sub(closed.elapsed()));
    is_closing_for(&web, "demo", WATCHED);
    assert_says(&system, "dead letters");
    eventually("the metrics say so", || {
        metrics(&web).contains("throng_polls_closing{waits_for=\"dead_letters\"} 1").then_some(())
    });
    system.output(&["dead", "drop", "--all"]);
    is_final_with(&web, "demo", voters, closed);
}

#[test]
fn a_worker_that_is_killed_and_started_again() {
    let _peace = shared();
    let system = System::new(Kind::MySql, true, false);
    let (web, worker) = (system.web(), system.worker());
    let mut voters = vote(&web, "demo", 50);
    worker.kill();
    voters += vote(&web, "demo", 50);
    let closed = close(&system, "demo");
    wait(FINAL_AFTER.saturating_sub(closed.elapsed()));
    is_closing_for(&web, "demo", WATCHED);
    assert_says(&system, "no worker is there");
    eventually("the metrics say so", || {
        metrics(&web).contains("throng_polls_closing{waits_for=\"worker\"} 1").then_some(())
    });
    let _worker = system.worker();
    is_final_with(&web, "demo", voters, closed);
}

/// Two workers hold ballots that they can't record. One of them is stopped before they can again, and the broker takes from it
/// what it holds only after a while.
#[test]
fn a_worker_that_is_stopped_with_ballots_in_its_hands() {
    let _peace = shared();
    let system = System::new(Kind::Postgres, true, false);
    let web = system.web();
    let (stopped, _other) = (system.worker(), system.worker());
    // Until after the first round, so that the broker still takes the one that is stopped for alive.
    let locked = Duration::from_secs(62);
    std::thread::scope(|scope| {
        let lock = format!("BEGIN; LOCK TABLE ballot; SELECT pg_sleep({}); COMMIT", locked.as_secs());
        let (system, began) = (&system, Instant::now());
        let locking = scope.spawn(move || system.sql(&lock));
        wait(Duration::from_secs(2));
        let voters = vote(&web, "demo", 100);
        let closed = close(system, "demo");
        wait((locked - Duration::from_secs(1)).saturating_sub(began.elapsed()));
        let pid = Pid::from_raw(stopped.pid().cast_signed()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        locking.join().unwrap();
        is_final_with(&web, "demo", voters, closed);
        kill_process(pid, Signal::CONT).unwrap();
    });
}

/// As a worker of an earlier version is: it takes ballots, and says nothing.
#[test]
fn a_consumer_that_never_answers() {
    let _peace = shared();
    let system = System::new(Kind::Postgres, true, false);
    let web = system.web();
    let _worker = system.worker();
    let silent = Silent::at(&system);
    let voters = vote(&web, "demo", 50);
    let closed = close(&system, "demo");
    wait(FINAL_AFTER.saturating_sub(closed.elapsed()));
    is_closing_for(&web, "demo", WATCHED);
    assert!(system.stored().voters < voters, "it holds some of them");
    drop(silent);
    is_final_with(&web, "demo", voters, closed);
}

/// A consumer that keeps what it is delivered.
struct Silent {
    runtime: Runtime,
    connection: Connection,
    _consumer: Consumer,
}

impl Silent {
    fn at(system: &System) -> Self {
        let runtime = Runtime::new().unwrap();
        let (connection, consumer) = runtime.block_on(async {
            let connecting = Connection::connect(system.setting("QUEUE_URL"), ConnectionProperties::default());
            let connection = connecting.await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            let (name, none) = (format!("{}.ballots", system.name()), FieldTable::default());
            let consuming = channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), none);
            (connection, consuming.await.unwrap())
        });
        Self { runtime, connection, _consumer: consumer }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.connection.close(200, "OK".into()));
    }
}

/// Casts so many ballots, which are all taken; returns how many.
fn vote(web: &ThrongProcess, poll: &str, ballots: u64) -> u64 {
    let mut client = Client::new(web.address);
    for _ in 0..ballots {
        let ballot = json!({"ballot_id": Uuid::from_u128(rand::random()), "choices": [1]}).to_string();
        let reply = client.post(&format!("/api/v1/polls/{poll}/ballots"), &ballot);
        assert!(matches!(&reply, Reply::Answer(answer) if answer.status == 202), "{reply:?}");
    }
    ballots
}

/// Closes the poll; returns a moment after which it closed.
pub(super) fn close(system: &System, poll: &str) -> Instant {
    let before = Instant::now();
    system.output(&["poll", "close", poll]);
    before
}

pub(super) fn results(web: &ThrongProcess, poll: &str) -> Value {
    Client::new(web.address).get_json(&format!("/api/v1/polls/{poll}/results"))
}

fn state(web: &ThrongProcess, poll: &str) -> String {
    results(web, poll)["state"].as_str().unwrap().to_owned()
}

fn metrics(web: &ThrongProcess) -> String {
    let Reply::Answer(answer) = Client::new(web.address).get("/metrics") else { panic!("it isn't answered") };
    String::from_utf8(answer.body).unwrap()
}

#[track_caller]
fn is_closing_for(web: &ThrongProcess, poll: &str, how_long: Duration) {
    let began = Instant::now();
    while began.elapsed() < how_long {
        assert_eq!(state(web, poll), "closing");
        wait(Duration::from_millis(50));
    }
}

/// Waits until the result is final, which it may only be with all of these ballots, and not before a minute has passed.
#[track_caller]
pub(super) fn is_final_with(web: &ThrongProcess, poll: &str, voters: u64, closed: Instant) {
    let deadline = Instant::now() + FINAL_AFTER + FINAL_WITHIN;
    loop {
        let result = results(web, poll);
        if result["state"] == "final" {
            assert_eq!((&result["voters"], &result["provisional"]), (&voters.into(), &false.into()), "{result}");
            let took = closed.elapsed();
            println!("final {:.1} s after the close, with {voters} ballots", took.as_secs_f64());
            assert!(took >= FINAL_AFTER, "{took:?}");
            return;
        }
        assert!(Instant::now() < deadline, "it isn't final: {result}");
        wait(Duration::from_millis(50));
    }
}

/// `throng poll results` and `throng doctor` name what the demo poll's result waits for.
#[track_caller]
fn assert_says(system: &System, words: &str) {
    let results = String::from_utf8(system.output(&["poll", "results", "demo"])).unwrap();
    assert!(results.contains(words), "{results}");
    let doctor = String::from_utf8(system.run(&["doctor"]).stdout).unwrap();
    let closing = doctor.lines().find(|line| line.contains("closing polls")).unwrap_or_else(|| panic!("{doctor}"));
    assert!(closing.starts_with("FAULT") && closing.contains(words), "{closing}");
}
