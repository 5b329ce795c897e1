//! A machine's clock that is set as a test likes.
//!
//! It is `libfaketime`'s, whose offset is in a file. It leaves the monotonic clock alone, as the system does when its clock is
//! set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An hour and a day, in seconds.
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;

/// Where Debian keeps the library, by the machine's architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of one machine.
pub struct FakeClock {
    library: PathBuf,
    offset: PathBuf,
}

impl FakeClock {
    /// One that is right; `offset` is a file of its own.
    pub fn new(offset: PathBuf) -> Self {
        let clock = Self { library: library(), offset };
        clock.set(0);
        clock
    }

    /// Sets it to so many seconds from the real time.
    pub fn set(&self, offset: i64) {
        let next = self.offset.with_extension("next");
        fs::write(&next, format!("{offset:+}\n")).unwrap();
        fs::rename(next, &self.offset).unwrap();
    }

    /// Has what is about to be run know no other time.
    pub fn show_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.offset);
        command.envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    }
}

fn library() -> PathBuf {
    let found = fs::read_dir(LIBRARIES).unwrap().map(|entry| entry.unwrap().path().join(LIBRARY));
    let found = found.chain([Path::new(LIBRARIES).join(LIBRARY)]).find(|path| path.exists());
    found.expect("libfaketime is installed: apt-get install faketime")
}
