//! SIGTERM under load.

use std::thread;
use std::time::Duration;

use rand::RngExt as _;
use throng_testkit::DataDir;

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};

const VOTERS: usize = 32;
const ROUNDS: usize = 5;

/// The moment of the signal, in milliseconds from the first ballot.
const SIGNAL_AT_MS: std::ops::Range<u64> = 20..400;

#[test]
fn a_shutdown_answers_all_it_was_sent() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    for _ in 0..ROUNDS {
        let mut throng = data_dir.start();
        let moment = Duration::from_millis(ledger.random.random_range(SIGNAL_AT_MS));
        let (status, said) = ledger.voters_while(throng.address, VOTERS, || {
            wait(moment);
            throng.terminate();
            throng.ended()
        });
        assert!(status.success(), "the server ended with {status}\n{said}");
        let (unknown, refused) = (ledger.count(Fate::Unknown), ledger.count(Fate::NotCounted));
        assert_eq!(ledger.witness.cuts(), 0, "requests were cut off\n{said}");
        assert_eq!((unknown, refused), (0, 0), "ballots were left unknown, or refused\n{said}");
    }
    let throng = data_dir.start();
    let stored = checker::check_settled(&data_dir, &throng, &ledger);
    let acknowledged = ledger.count(Fate::Counted);
    assert_eq!(stored.ballots(), acknowledged, "I9: nothing was cut, so counted is acknowledged");
    println!("SIGTERM: {ROUNDS} rounds, {acknowledged} ballots acknowledged and counted, 0 cut off, exit code 0");
}

#[expect(clippy::disallowed_methods, reason = "the signal comes at a moment, not after an event")]
fn wait(moment: Duration) {
    thread::sleep(moment);
}
