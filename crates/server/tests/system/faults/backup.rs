//! Copies made while a crowd votes.

use std::collections::HashSet;

use rusqlite::Connection;
use throng_testkit::DataDir;

use crate::checker::{self, Stored};
use crate::ledger::{Fate, Ledger, seed};

const VOTERS: usize = 8;
const COPIES: usize = 100;

#[test]
fn a_backup_under_load_is_whole() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let (database, copy) = (data_dir.database(), data_dir.path("copy.db"));
    let sizes = ledger.voters_while(throng.address, VOTERS, || {
        let source = Connection::open(database).unwrap();
        let copies = (0..COPIES).map(|_| {
            source.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            let stored = Stored::read(&copy);
            std::fs::remove_file(&copy).unwrap();
            let broken = stored.disagreements();
            assert!(broken.is_empty(), "a backup is broken:\n{}", broken.join("\n"));
            stored.ballots()
        });
        copies.collect::<Vec<usize>>()
    });
    let stored = checker::check_settled(&data_dir, &throng, &ledger);
    assert_eq!(stored.ballots(), ledger.count(Fate::Counted), "I9: nothing was cut, so counted is acknowledged");
    let (first, last) = (sizes[0], sizes[COPIES - 1]);
    assert!(first < last, "nobody voted while the copies were made");
    println!("backup: {COPIES} copies under load, of {first} to {last} ballots, tallies as counted in each");
}

#[test]
fn throng_backup_under_load_is_whole() {
    const BACKUPS: usize = 5;
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let before: Vec<_> = ledger.sent.iter().map(|sent| sent.id.unwrap()).collect();
    let sizes = ledger.voters_while(throng.address, VOTERS, || {
        let backups = (0..BACKUPS).map(|_| {
            let made = data_dir.command(&["backup", "copy.db", "--force"]).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let stored = Stored::read(&data_dir.path("copy.db"));
            let broken = stored.disagreements();
            assert!(broken.is_empty(), "a backup is broken:\n{}", broken.join("\n"));
            let there: HashSet<_> = stored.ballots.iter().map(|(id, _)| *id).collect();
            assert!(before.iter().all(|id| there.contains(id)), "a ballot counted before the backup isn't in it");
            stored.ballots()
        });
        backups.collect::<Vec<usize>>()
    });
    checker::check_settled(&data_dir, &throng, &ledger);
    assert!(sizes[0] < sizes[BACKUPS - 1], "nobody voted while the backups were made");
}
