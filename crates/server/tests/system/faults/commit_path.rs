//! Death at each single write and sync: of one commit, and of a shutdown.

use throng_testkit::{DataDir, ThrongProcess};

use crate::checker;
use crate::faults::strace::Strace;
use crate::ledger::{Ledger, seed};

/// The calls of a commit, and of what follows until its voters are answered: waking the other threads, sending.
const COMMIT_CALLS: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "write", "writev", "sendto"];

/// The calls of a shutdown, which copies SQLite's log into the database file and removes it.
const SHUTDOWN_CALLS: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "write"];

/// The calls that every path makes.
const MADE: [&str; 2] = ["pwrite64", "fdatasync"];

/// No path has this many of one call.
const CALLS_MAX: usize = 200;

#[test]
fn one_commit_killed_at_each_write_and_sync() {
    kill_at_each_call("a commit of one ballot", &COMMIT_CALLS, |throng, ledger| {
        ledger.vote_together(throng.address, 1)
    });
}

#[test]
fn a_shared_commit_killed_at_each_write_and_sync() {
    kill_at_each_call("a commit of several ballots", &COMMIT_CALLS, |throng, ledger| {
        ledger.vote_together(throng.address, 6)
    });
}

#[test]
fn a_shutdown_killed_at_each_write_and_sync() {
    kill_at_each_call("a shutdown", &SHUTDOWN_CALLS, |throng, _| {
        throng.terminate();
        throng.ended().0.success()
    });
}

/// Kills a server at the first `call`, a fresh one at the second, and so on until `path` gets to its end: that for
/// each of `calls`. After each kill, the next start must find every promise kept.
#[track_caller]
fn kill_at_each_call(what: &str, calls: &[&str], path: impl Fn(&mut ThrongProcess, &mut Ledger) -> bool) {
    let seed = seed();
    println!("killed in {what}: seed {seed}");
    let mut kills: Vec<(&str, usize)> = Vec::new();
    for &call in calls {
        let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed));
        let survived = (1..CALLS_MAX).find(|number| path_survives(&data_dir, &mut ledger, call, *number, &path));
        let survived = survived.unwrap_or_else(|| panic!("{what} has no end: {CALLS_MAX} times {call}"));
        kills.push((call, survived - 1));
    }
    let told: Vec<String> = kills.iter().map(|(call, number)| format!("{call} × {number}")).collect();
    println!("killed in {what}: at {}; lost 0, doubled 0", told.join(", "));
    for (call, number) in &kills {
        assert!(*number > 0 || !MADE.contains(call), "{what} makes no {call}: then it was never at risk, nor durable");
    }
}

/// Whether `path` gets to its end although a thread is killed at its `number`th `call`. One that has fewer does.
fn path_survives(
    data_dir: &DataDir,
    ledger: &mut Ledger,
    call: &str,
    number: usize,
    path: impl Fn(&mut ThrongProcess, &mut Ledger) -> bool,
) -> bool {
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, 1), "the first ballot of a whole server counts");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
    let strace = Strace::attach(throng.pid(), &data_dir.path("strace"), &["-e", &trace, "-e", &inject]);
    let survived = path(&mut throng, ledger);
    throng.kill();
    strace.end();
    let throng = data_dir.start();
    ledger.retry_unknown(throng.address);
    checker::check_settled(data_dir, &throng, ledger);
    survived
}
