//! `kill -9` under load, at random moments.

use std::thread;
use std::time::Duration;

use rand::RngExt as _;
use throng_testkit::DataDir;

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};

const ROUNDS: usize = 8;
const VOTERS: usize = 16;

/// The kills that one database lives through; then comes a new one, whose creation is at risk as well.
const KILLS_A_FILE: usize = 10;

/// The moment of a kill, in milliseconds from the first ballot.
const KILL_AT_MS: std::ops::Range<u64> = 20..400;

/// One restart in this many is killed as well.
const RESTART_KILLED: u32 = 4;

/// The moment of such a kill, in microseconds from the start.
const RESTART_KILL_AT_US: std::ops::Range<u64> = 0..30_000;

#[test]
fn kill_9_loses_nothing_and_doubles_nothing() {
    let rounds = std::env::var("THRONG_FAULT_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("THRONG_FAULT_ROUNDS is a number"));
    let seed = seed();
    println!("kill -9: seed {seed}");
    let mut totals = Totals::default();
    for (file, first) in (0..rounds).step_by(KILLS_A_FILE).enumerate() {
        let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed.wrapping_add(file as u64)));
        for _ in first..rounds.min(first + KILLS_A_FILE) {
            kill_under_load(&data_dir, &mut ledger, &mut totals);
        }
        totals.acknowledged += ledger.count(Fate::Counted);
        totals.retried += ledger.retried;
    }
    let Totals { acknowledged, unknown, retried, restarts_killed } = totals;
    println!(
        "kill -9: {rounds} rounds, {restarts_killed} restarts killed too, {acknowledged} ballots acknowledged, \
         {unknown} unknown, {retried} of them retried, lost 0, doubled 0"
    );
    assert!(acknowledged > rounds, "hardly anybody voted");
}

#[derive(Default)]
struct Totals {
    acknowledged: usize,
    unknown: usize,
    retried: usize,
    restarts_killed: usize,
}

fn kill_under_load(data_dir: &DataDir, ledger: &mut Ledger, totals: &mut Totals) {
    let moment = Duration::from_millis(ledger.random.random_range(KILL_AT_MS));
    let nameless_before = ledger.count(Fate::Unknown);
    let throng = data_dir.start();
    ledger.voters_while(throng.address, VOTERS, || {
        wait(moment);
        throng.kill();
    });
    totals.unknown += ledger.count(Fate::Unknown) - nameless_before;
    if ledger.random.random_ratio(1, RESTART_KILLED) {
        let throng = data_dir.spawn();
        wait(Duration::from_micros(ledger.random.random_range(RESTART_KILL_AT_US)));
        throng.kill();
        totals.restarts_killed += 1;
    }
    let throng = data_dir.start();
    ledger.retry_unknown(throng.address);
    checker::check_settled(data_dir, &throng, ledger);
}

#[expect(clippy::disallowed_methods, reason = "the fault comes at a moment, not after an event")]
fn wait(moment: Duration) {
    thread::sleep(moment);
}
