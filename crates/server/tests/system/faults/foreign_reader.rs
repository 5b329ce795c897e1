//! Another program that reads the file in a transaction which it doesn't end: the log can't begin anew. It is named wherever an
//! operator looks, and the disk isn't filled.

use std::ffi::CString;
use std::fs::File;
use std::path::PathBuf;

use rusqlite::Connection;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use throng_testkit::{Client, DataDir, Reply, ThrongProcess, eventually};

use crate::checker;
use crate::ledger::{Ledger, seed};

const VOTERS: usize = 4;

/// A log that is long, but for what is in it.
const LONG_BYTES: u64 = 300 << 20;

#[test]
fn reader_that_holds_the_log_back_is_named() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let reader = read_on(&data_dir);
    let name = format!("(process {})", std::process::id());
    eventually("the metrics name it", || {
        let metrics = metrics(&throng);
        let line = metrics.lines().find(|line| line.starts_with("throng_database_log_reader_seconds{"))?;
        let seconds: f64 = line.rsplit(' ').next()?.parse().unwrap();
        (line.contains(&name) && seconds > 0.0).then_some(())
    });
    assert!(doctor(&data_dir).contains("ok    log "), "a reader is no fault: {}", doctor(&data_dir));
    lengthen_log(&data_dir);
    throng.says(&format!("{name} reads it, for "));
    let said = doctor(&data_dir);
    assert!(said.contains("FAULT log ") && said.contains(&format!("{name} reads it; end that program")), "{said}");
    drop(reader);
    eventually("the log begins anew", || {
        assert!(ledger.vote_together(throng.address, VOTERS), "ballots count all the while");
        (length(&throng) < LONG_BYTES).then_some(())
    });
    let metrics = metrics(&throng);
    assert!(metrics.contains("throng_database_log_reader_seconds{process=\"\"} 0"), "{metrics}");
    assert!(doctor(&data_dir).contains("ok    log "), "{}", doctor(&data_dir));
    checker::check_settled(&data_dir, &throng, &ledger);
}

/// Votes are refused before there is no room for what brings the log into the file, and taken again once the reader is gone.
#[test]
fn reader_that_holds_the_log_back_does_not_fill_the_disk() {
    let (data_dir, mut ledger) = (DataDir::new(), Ledger::new(seed()));
    let _disk = SmallDisk::below(&data_dir);
    let mut throng = data_dir.start();
    assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
    let reader = read_on(&data_dir);
    lengthen_log(&data_dir);
    throng.says("the disk is nearly full");
    let mut client = Client::new(throng.address);
    assert_eq!(status(client.get("/readyz")), 503);
    match client.post("/api/submit", "[1]") {
        Reply::Answer(answer) => assert_eq!(answer.json()["code"], "store_unavailable", "{answer:?}"),
        reply @ (Reply::NotSent | Reply::Cut) => panic!("{reply:?}"),
    }
    assert_eq!(status(client.get("/api/result")), 200);
    drop(reader);
    eventually("it is ready again", || (status(client.get("/readyz")) == 200).then_some(()));
    eventually("the log begins anew", || {
        assert!(ledger.vote_together(throng.address, VOTERS), "ballots count");
        (length(&throng) < LONG_BYTES).then_some(())
    });
    checker::check_settled(&data_dir, &throng, &ledger);
}

/// A transaction of this process, another than the server's, that has begun to read.
fn read_on(data_dir: &DataDir) -> Connection {
    let reader = Connection::open(data_dir.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM ballot").unwrap();
    reader
}

/// Makes the log long, with a hole.
fn lengthen_log(data_dir: &DataDir) {
    File::options().write(true).open(data_dir.path("throng.db-wal")).unwrap().set_len(LONG_BYTES).unwrap();
}

fn doctor(data_dir: &DataDir) -> String {
    String::from_utf8(data_dir.command(&["doctor"]).output().unwrap().stdout).unwrap()
}

fn metrics(throng: &ThrongProcess) -> String {
    match Client::new(throng.address).get("/metrics") {
        Reply::Answer(answer) => String::from_utf8(answer.body).unwrap(),
        reply @ (Reply::NotSent | Reply::Cut) => panic!("{reply:?}"),
    }
}

fn length(throng: &ThrongProcess) -> u64 {
    let metrics = metrics(throng);
    let line = metrics.lines().find(|line| line.starts_with("throng_database_log_bytes ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn status(reply: Reply) -> u16 {
    match reply {
        Reply::Answer(answer) => answer.status,
        reply @ (Reply::NotSent | Reply::Cut) => panic!("{reply:?}"),
    }
}

/// A file system in memory where a data_dir is, with less room than is kept free while a log is long.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn below(data_dir: &DataDir) -> Self {
        let (place, options) = (data_dir.path("."), CString::new("size=200m").unwrap());
        mount("tmpfs", &place, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap_or_else(|error| {
            panic!("no small disk can be made ({error}): run this as root, with the right to mount (SYS_ADMIN)")
        });
        Self(place)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached: a server may still have a file open there.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
