//! Clients that go away right after sending.

use throng_testkit::DataDir;

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};

const CLIENTS: usize = 300;

#[test]
fn a_client_that_leaves_has_its_ballot_counted_or_not_but_never_by_half() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    for _ in 0..CLIENTS {
        ledger.vote_and_leave(throng.address);
    }
    // A server that has stopped has nothing pending.
    throng.terminate();
    let (status, said) = throng.ended();
    assert!(status.success(), "the server ended with {status}\n{said}");

    let throng = data_dir.start();
    let counted = checker::check(&data_dir, &throng, &ledger).ballots();
    ledger.retry_unknown(throng.address);
    let all = checker::check_settled(&data_dir, &throng, &ledger).ballots();
    assert_eq!((all, ledger.count(Fate::Counted)), (CLIENTS, CLIENTS), "I9: all are counted after a retry");
    println!("gone clients: {CLIENTS} left before their answer, {counted} counted, {CLIENTS} after a retry, doubled 0");
}
