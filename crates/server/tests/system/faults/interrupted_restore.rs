//! `throng restore` killed at each of its changes of a name: it leaves what the next start can serve, or refuses to until it is
//! run again; and what was there before is kept with all that belongs to it, whatever happens.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use throng_testkit::DataDir;

use crate::checker::Stored;
use crate::faults::displaced_file::restore;
use crate::ledger::{Ledger, seed};

const VOTERS: usize = 4;

/// The system calls that change names.
const CALLS: [&str; 7] = ["rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"];
const CALLS_MAX: usize = 30;

#[test]
fn interrupted_restore_leaves_one_database_or_the_other() {
    let data_dir = DataDir::new();
    let mut ledger = Ledger::new(seed());
    let throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    backup(&data_dir);
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    throng.kill();
    let served = served_after_each(&data_dir, &["throng.db", "throng.db-wal", "copy.db"]);
    assert!([0, VOTERS, 2 * VOTERS].iter().all(|seen| served.contains(seen)), "{served:?}");
}

/// A program died in a transaction of its own: the journal isn't applied to the copy, nor is the file left without it.
#[test]
fn interrupted_restore_leaves_a_journal_with_its_file() {
    let data_dir = DataDir::new();
    let mut ledger = Ledger::new(seed());
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    backup(&data_dir);
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    throng.terminate();
    throng.ended();
    let torn = DataDir::new();
    die_in_a_transaction(&data_dir.database(), &torn.database());
    fs::copy(data_dir.path("copy.db"), torn.path("copy.db")).unwrap();
    let served = served_after_each(&torn, &["throng.db", "throng.db-journal", "copy.db"]);
    assert!([0, VOTERS, 2 * VOTERS].iter().all(|seen| served.contains(seen)), "{served:?}");
}

/// Kills a restore at each change of a name, in a data_dir with these files; what the next start served each time: 0 if it refused
/// until it was restored again.
fn served_after_each(data_dir: &DataDir, files: &[&str]) -> Vec<usize> {
    let mut served = Vec::new();
    for call in CALLS {
        let served_before = served.len();
        for number in 1..=CALLS_MAX {
            let tried = DataDir::new();
            for name in files {
                fs::copy(data_dir.path(name), tried.path(name)).unwrap();
            }
            if !killed_at(call, number, &tried.command(&["restore", "copy.db"])) {
                break;
            }
            served.push(after_restore(&tried, &format!("{call} {number}")));
        }
        assert!(served.len() < served_before + CALLS_MAX, "there is no end of {call}");
    }
    println!(
        "restore, killed {} times: served then {served:?} ballots (0: refused until restored again)",
        served.len()
    );
    served
}

/// What the next start serves after a restore was killed: 0 if it refused until it was restored again.
#[track_caller]
fn after_restore(data_dir: &DataDir, killed: &str) -> usize {
    let start = data_dir.command(&["poll", "results", "demo", "--json"]).output().unwrap();
    let served = if start.status.success() {
        let results: serde_json::Value = serde_json::from_slice(&start.stdout).unwrap();
        usize::try_from(results["voters"].as_u64().unwrap()).unwrap()
    } else {
        let said = String::from_utf8_lossy(&start.stderr);
        assert!(said.contains("throng restore"), "{killed}: {said}");
        restore(data_dir, "copy.db");
        0
    };
    let stored = Stored::read(&data_dir.database());
    assert_eq!(stored.disagreements(), [""; 0], "{killed}: what is there is damaged");
    let expected = if served == 0 { VOTERS } else { served };
    assert!(stored.ballots() == expected && [VOTERS, 2 * VOTERS].contains(&expected), "{killed}: {served} voters");
    if served != 2 * VOTERS {
        let kept = data_dir.path("throng.db.old");
        // Whoever may write is needed to apply a journal.
        Connection::open(&kept).unwrap().execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
        let kept = Stored::read(&kept);
        assert!(kept.disagreements().is_empty() && kept.ballots() == 2 * VOTERS, "{killed}: what was there is lost");
    }
    served
}

/// Runs the command until its `number`th call of this name, at which it is killed; whether it came to that.
fn killed_at(call: &str, number: usize, command: &Command) -> bool {
    let mut traced = Command::new("strace");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
    traced
        .args(["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject])
        .arg(command.get_program())
        .args(command.get_args());
    traced.env_clear().current_dir(command.get_current_dir().unwrap()).env("PATH", "/usr/bin:/bin");
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    !traced.output().unwrap().status.success()
}

fn backup(data_dir: &DataDir) {
    let made = data_dir.command(&["backup", "copy.db"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Copies the database to `torn` as a tool would leave it that doesn't write through a log, and died while it deleted every
/// ballot: changed pages in the file, and in the journal what they were.
fn die_in_a_transaction(database: &Path, torn: &Path) {
    let tool = Connection::open(database).unwrap();
    let (file, journal) = (database.to_owned(), database.with_extension("db-journal"));
    tool.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; BEGIN; DELETE FROM ballot; UPDATE tally SET count = 0;
         CREATE TABLE other (id); INSERT INTO other SELECT zeroblob(100000) FROM json_each('[1,2,3]')",
    )
    .unwrap();
    fs::copy(file, torn).unwrap();
    let alone = Connection::open(torn).unwrap().query_row("SELECT count(*) FROM ballot", [], |row| row.get(0));
    assert_ne!(alone, Ok(2 * VOTERS), "nothing was written to the file yet");
    fs::copy(journal, torn.with_extension("db-journal")).unwrap();
}
