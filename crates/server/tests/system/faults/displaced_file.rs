//! The database file moved, deleted or replaced under a server, and copies that are put beside an old log.

use std::fs;
use std::path::Path;

use throng_testkit::{DataDir, ThrongProcess};

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};

const VOTERS: usize = 4;

#[test]
fn file_moved_under_load_ends_the_server() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let moved = data_dir.path("moved.db");
    let said = ended_by(&data_dir, &mut ledger, || fs::rename(data_dir.database(), &moved).unwrap());
    assert!(said.contains("moved or deleted") && said.contains("Put it back"), "{said}");
    // The log is left where it was, so no start makes an empty database beside it.
    ends_saying(data_dir.spawn(), "may hold the only copy of ballots");
    fs::rename(&moved, data_dir.database()).unwrap();
    nothing_is_lost("the file moved", &data_dir, &mut ledger);
}

#[test]
fn log_moved_under_load_ends_the_server() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let log = data_dir.path("throng.db-wal");
    let said = ended_by(&data_dir, &mut ledger, || fs::rename(&log, data_dir.path("moved-wal")).unwrap());
    assert!(said.contains("throng.db-wal was moved or deleted"), "{said}");
    nothing_is_lost("the log moved", &data_dir, &mut ledger);
}

#[test]
fn deleted_file_is_rescued() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let said = ended_by(&data_dir, &mut ledger, || fs::remove_file(data_dir.database()).unwrap());
    assert!(said.contains("throng restore"), "{said}");
    restore(&data_dir, "throng.db.rescued");
    nothing_is_lost("the file deleted", &data_dir, &mut ledger);
}

#[test]
fn replaced_file_is_rescued() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let other = data_dir.path("other.db");
    fs::write(&other, "").unwrap();
    let said = ended_by(&data_dir, &mut ledger, || fs::rename(&other, data_dir.database()).unwrap());
    assert!(said.contains("was replaced"), "{said}");
    restore(&data_dir, "throng.db.rescued");
    nothing_is_lost("the file replaced", &data_dir, &mut ledger);
}

#[test]
fn idle_server_notices_that_its_file_is_gone() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let moved = data_dir.path("moved.db");
    fs::rename(data_dir.database(), &moved).unwrap();
    let (status, said) = throng.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    fs::rename(&moved, data_dir.database()).unwrap();
    nothing_is_lost("the file moved while nobody votes", &data_dir, &mut ledger);
}

/// A copy is put in the place of the file, as `cp` does it, and what the server had in memory must not go into it.
#[test]
fn file_overwritten_while_serving_ends_the_server() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let copy = data_dir.path("copy.db");
    vacuum_into(&data_dir.database(), &copy);
    fs::copy(&copy, data_dir.database()).unwrap();
    let (status, said) = throng.ended();
    assert!(status.code() == Some(1) && said.contains("overwritten"), "{status}: {said}");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(data_dir.database()).unwrap(), "the copy was written to");
}

#[test]
fn backup_copied_beside_an_old_log_is_refused() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let (copy, whole) = (data_dir.path("copy.db"), data_dir.path("whole.db"));
    vacuum_into(&data_dir.database(), &copy);
    ledger.voters_while(throng.address, VOTERS, || throng.kill());
    fs::copy(data_dir.database(), &whole).unwrap();
    fs::copy(&copy, data_dir.database()).unwrap();
    ends_saying(data_dir.spawn(), "doesn't belong");
    // Refused, nothing was touched: the file put back is whole.
    fs::copy(&whole, data_dir.database()).unwrap();
    nothing_is_lost("a backup beside an old log", &data_dir, &mut ledger);
}

#[test]
fn hard_link_has_no_second_server() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let throng = data_dir.start();
    let other = DataDir::new();
    fs::hard_link(data_dir.database(), other.database()).unwrap();
    ends_saying(other.spawn(), "another throng serves");
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    checker::check_settled(&data_dir, &throng, &ledger);
}

/// Has voters vote at a server until `fault` ends it; what it said last.
#[track_caller]
fn ended_by(data_dir: &DataDir, ledger: &mut Ledger, fault: impl FnOnce()) -> String {
    let mut throng = data_dir.start();
    let address = throng.address;
    assert!(ledger.vote_together(address, VOTERS), "ballots count");
    let (status, said) = ledger.voters_while(address, VOTERS, || {
        fault();
        throng.ended()
    });
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("throng: "), "{said}");
    last.to_owned()
}

/// The next start finds every ballot that was acknowledged, and takes those of unknown outcome again.
#[track_caller]
fn nothing_is_lost(what: &str, data_dir: &DataDir, ledger: &mut Ledger) {
    let throng = data_dir.start();
    ledger.retry_unknown(throng.address);
    checker::check_settled(data_dir, &throng, ledger);
    println!("{what}: {} ballots acknowledged, lost 0, doubled 0", ledger.count(Fate::Counted));
}

#[track_caller]
pub fn restore(data_dir: &DataDir, name: &str) {
    let mut restore = data_dir.command(&["restore", name]);
    let restored = restore.output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
}

fn vacuum_into(database: &Path, copy: &Path) {
    let source = rusqlite::Connection::open(database).unwrap();
    source.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
}

/// Waits until the process has ended by itself, with 1 and these words.
#[track_caller]
fn ends_saying(mut process: ThrongProcess, words: &str) {
    let (status, said) = process.ended();
    assert!(status.code() == Some(1) && said.contains(words), "{status}: {said}");
}
