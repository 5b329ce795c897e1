//! A disk that fails: syncs answered with EIO, writes with ENOSPC.

use throng_testkit::DataDir;

use crate::checker;
use crate::faults::strace::Strace;
use crate::ledger::{Fate, Ledger, seed};

const VOTERS: usize = 4;

#[test]
fn failing_syncs_end_the_server() {
    the_server_ends("every sync fails", "fdatasync,fsync", "error=EIO:when=1+", "I/O error");
}

/// The kernel may forget what it couldn't write and answer the next sync with success: asking again would hide a loss.
#[test]
fn a_sync_that_failed_is_not_tried_again() {
    the_server_ends("one sync fails", "fdatasync,fsync", "error=EIO:when=1", "I/O error");
}

#[test]
fn a_full_disk_ends_the_server() {
    the_server_ends("the disk is full", "pwrite64", "error=ENOSPC:when=1+", "full");
}

#[test]
fn failing_writes_end_the_server() {
    the_server_ends("every write fails", "pwrite64", "error=EIO:when=1+", "I/O error");
}

/// The log is whole when it can't be copied into the database file, so ballots count until that is tried; the system may
/// then forget what it couldn't write, so it is tried once.
#[test]
fn a_checkpoint_that_failed_is_not_tried_again() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    let (database, calls) = (data_dir.database(), "fdatasync,fsync");
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=EIO:when=1"));
    let only = ["-P", database.to_str().unwrap(), "-e", &trace, "-e", &inject];
    let strace = Strace::attach(throng.pid(), &data_dir.path("strace"), &only);
    let address = throng.address;
    let (status, said) = ledger.voters_while(address, VOTERS, || throng.ended());
    strace.end();
    let counted = ledger.count(Fate::Counted);
    assert!(counted > 0 && status.code().is_some_and(|code| code != 0), "{counted} counted, {status}\n{said}");
    the_next_start_is_whole("one checkpoint fails", &data_dir, &mut ledger);
}

/// From the fault on no ballot counts, the server ends by itself and says why, and the next start finds every promise
/// kept.
#[track_caller]
fn the_server_ends(what: &str, calls: &str, fault: &str, why: &str) {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "the first ballots of a whole server count");
    let counted = ledger.count(Fate::Counted);

    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{fault}"));
    let strace = Strace::attach(throng.pid(), &data_dir.path("strace"), &["-e", &trace, "-e", &inject]);
    let address = throng.address;
    let (status, said) = ledger.voters_while(address, VOTERS, || throng.ended());
    strace.end();
    assert_eq!(ledger.count(Fate::Counted), counted, "I1: {what}, and still ballots are acknowledged");
    assert!(status.code().is_some_and(|code| code != 0), "{what}: the server ended with {status}\n{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("throng: ") && last.contains(why) && last.contains("start"), "{what}: {said}");
    println!("{what}: {counted} ballots acknowledged before, 0 after, {status}; it said: {last}");
    the_next_start_is_whole(what, &data_dir, &mut ledger);
}

fn the_next_start_is_whole(what: &str, data_dir: &DataDir, ledger: &mut Ledger) {
    let unknown = ledger.count(Fate::Unknown);
    let throng = data_dir.start();
    ledger.retry_unknown(throng.address);
    checker::check_settled(data_dir, &throng, ledger);
    println!("{what}: {unknown} ballots unknown; lost 0, doubled 0");
}
