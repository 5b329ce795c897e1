//! Every commit is synced, counted in system calls.

use throng_testkit::{Client, DataDir, Reply, ThrongProcess};

use crate::checker;
use crate::faults::strace::Strace;
use crate::ledger::{Ledger, seed};

const BALLOTS: usize = 50;

#[test]
fn every_commit_is_synced() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let throng = data_dir.start();
    let before = commits(&throng);
    let log = data_dir.path("strace");
    let strace = Strace::attach(throng.pid(), &log, &["-e", "trace=fdatasync,fsync"]);
    for _ in 0..BALLOTS {
        assert!(ledger.vote_together(throng.address, 1), "a ballot counts");
    }
    strace.end();
    let commits = commits(&throng) - before;
    let syncs = std::fs::read_to_string(log).unwrap();
    // A call that another thread interrupts in the log has a second line, on which it is resumed.
    let syncs = syncs.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count();
    println!("syncs: {BALLOTS} ballots one by one, {commits} commits, {syncs} syncs");
    assert_eq!(commits, BALLOTS, "a ballot alone is a commit");
    assert!(syncs >= commits, "durability: {commits} commits, but only {syncs} syncs");
    checker::check_settled(&data_dir, &throng, &ledger);
}

/// How many batches the server has recorded.
fn commits(throng: &ThrongProcess) -> usize {
    let Reply::Answer(answer) = Client::new(throng.address).get("/metrics") else { panic!("there are no metrics") };
    let text = String::from_utf8(answer.body).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("throng_record_seconds_count "));
    count.expect("the metrics have the number of batches").trim().parse().unwrap()
}
