//! The database file moved, deleted or replaced under a server, and copies that are put beside an old log.

use std::fs;
use std::path::Path;

use crate::checker;
use crate::ledger::{Fate, Ledger, seed};
use crate::process::{Home, Throng};

const VOTERS: usize = 4;

#[test]
fn file_moved_under_load_ends_the_server() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let moved = home.path("moved.db");
    let said = ended_by(&home, &mut ledger, || fs::rename(home.database(), &moved).unwrap());
    assert!(said.contains("moved or deleted") && said.contains("Put it back"), "{said}");
    // The log is left where it was, so no start makes an empty database beside it.
    home.spawn().ended_saying("may hold the only copy of ballots");
    fs::rename(&moved, home.database()).unwrap();
    nothing_is_lost("the file moved", &home, &mut ledger);
}

#[test]
fn log_moved_under_load_ends_the_server() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let log = home.path("throng.db-wal");
    let said = ended_by(&home, &mut ledger, || fs::rename(&log, home.path("moved-wal")).unwrap());
    assert!(said.contains("throng.db-wal was moved or deleted"), "{said}");
    nothing_is_lost("the log moved", &home, &mut ledger);
}

#[test]
fn deleted_file_is_rescued() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let said = ended_by(&home, &mut ledger, || fs::remove_file(home.database()).unwrap());
    assert!(said.contains("throng restore"), "{said}");
    restore(&home, "throng.db.rescued");
    nothing_is_lost("the file deleted", &home, &mut ledger);
}

#[test]
fn replaced_file_is_rescued() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let other = home.path("other.db");
    fs::write(&other, "").unwrap();
    let said = ended_by(&home, &mut ledger, || fs::rename(&other, home.database()).unwrap());
    assert!(said.contains("was replaced"), "{said}");
    restore(&home, "throng.db.rescued");
    nothing_is_lost("the file replaced", &home, &mut ledger);
}

#[test]
fn idle_server_notices_that_its_file_is_gone() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let mut throng = home.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let moved = home.path("moved.db");
    fs::rename(home.database(), &moved).unwrap();
    let (status, said) = throng.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    fs::rename(&moved, home.database()).unwrap();
    nothing_is_lost("the file moved while nobody votes", &home, &mut ledger);
}

/// A copy is put in the place of the file, as `cp` does it, and what the server had in memory must not go into it.
#[test]
fn file_overwritten_while_serving_ends_the_server() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let mut throng = home.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let copy = home.path("copy.db");
    vacuum_into(&home.database(), &copy);
    fs::copy(&copy, home.database()).unwrap();
    let (status, said) = throng.ended();
    assert!(status.code() == Some(1) && said.contains("overwritten"), "{status}: {said}");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(home.database()).unwrap(), "the copy was written to");
}

#[test]
fn backup_copied_beside_an_old_log_is_refused() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let throng = home.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let (copy, whole) = (home.path("copy.db"), home.path("whole.db"));
    vacuum_into(&home.database(), &copy);
    ledger.voters_while(throng.address, VOTERS, || throng.kill());
    fs::copy(home.database(), &whole).unwrap();
    fs::copy(&copy, home.database()).unwrap();
    home.spawn().ended_saying("doesn't belong");
    // Refused, nothing was touched: the file put back is whole.
    fs::copy(&whole, home.database()).unwrap();
    nothing_is_lost("a backup beside an old log", &home, &mut ledger);
}

#[test]
fn hard_link_has_no_second_server() {
    let (home, mut ledger) = (Home::new(), Ledger::new(seed()));
    let throng = home.start();
    let other = Home::new();
    fs::hard_link(home.database(), other.database()).unwrap();
    other.spawn().ended_saying("another throng serves");
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    checker::check_settled(&home, &throng, &ledger);
}

/// Has voters vote at a server until `fault` ends it; what it said last.
#[track_caller]
fn ended_by(home: &Home, ledger: &mut Ledger, fault: impl FnOnce()) -> String {
    let mut throng = home.start();
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
fn nothing_is_lost(what: &str, home: &Home, ledger: &mut Ledger) {
    let throng = home.start();
    ledger.retry_unknown(throng.address);
    checker::check_settled(home, &throng, ledger);
    println!("{what}: {} ballots acknowledged, lost 0, doubled 0", ledger.count(Fate::Counted));
}

#[track_caller]
pub fn restore(home: &Home, name: &str) {
    let mut restore = home.command(&["restore", name]);
    let restored = restore.output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
}

fn vacuum_into(database: &Path, copy: &Path) {
    let source = rusqlite::Connection::open(database).unwrap();
    source.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
}

impl Throng {
    /// Waits until it has ended by itself, with 1 and these words.
    #[track_caller]
    fn ended_saying(mut self, words: &str) {
        let (status, said) = self.ended();
        assert!(status.code() == Some(1) && said.contains(words), "{status}: {said}");
    }
}
