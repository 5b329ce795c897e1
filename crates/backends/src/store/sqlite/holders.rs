//! Which programs hold locks of SQLite's.

use std::fmt;
use std::fs::File;

use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

/// A program that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process; `None` where this one can't see it, as from within a container.
    pub pid: Option<i32>,
    /// Its name, where the system tells.
    pub program: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.program) {
            (Some(pid), Some(program)) => write!(f, "{program} (process {pid})"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("a program that can't be seen from here, outside this container,"),
        }
    }
}

/// A program other than this that holds any lock on `length` bytes of the file from `start` on; a length of 0 means all of
/// them. `None` if there is none, or the system doesn't say.
///
/// A process gives up all its locks on a file when it closes the file, by whatever handle: so this takes one that stays open.
pub(super) fn lock_holder(file: &File, start: u64, length: u64) -> Option<Holder> {
    let wanted = Flock { start, length, ..Flock::from(FlockType::WriteLock) };
    let pid = fcntl_getlk(file, &wanted).ok()??.pid.map(Pid::as_raw_pid).filter(|pid| *pid > 0);
    let program = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    Some(Holder { pid, program: program.map(|name| name.trim_end().to_owned()) })
}
