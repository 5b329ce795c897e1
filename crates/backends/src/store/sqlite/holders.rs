//! The processes that hold SQLite's locks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use throng_domain::store::Process;

use super::place::with_suffix;

/// A process other than this one that holds any lock on `length` bytes of the file from `start` on; a length of 0 means
/// all of them. `None` if there is none, or if the system doesn't report it.
///
/// A process loses all its locks on a file when it closes the file, by whatever handle: so this uses a handle that stays open.
pub(super) fn lock_holder(file: &File, start: u64, length: u64) -> Option<Process> {
    let wanted = Flock { start, length, ..Flock::from(FlockType::WriteLock) };
    let id = fcntl_getlk(file, &wanted).ok()??.pid.map(Pid::as_raw_pid).filter(|id| *id > 0);
    let program = id.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/comm")).ok());
    Some(Process { id, program: program.map(|name| name.trim_end().to_owned()) })
}

/// The slots in which readers publish up to which page of the log they read, and the offsets of those and of their
/// locks in the log's index (<https://www.sqlite.org/walformat.html#the_wal_index_file_format>).
const SLOTS: u64 = 5;
const MARKS_AT: u64 = 100;
const SLOT_LOCKS_AT: u64 = 123;

/// A log's index, by which readers are found.
#[derive(Debug)]
pub(super) struct LogIndex(File);

/// Another process that reads, and up to which page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) process: Process,
    page: u32,
}

impl LogIndex {
    /// The index of the log of the file at `path`. Closing it releases this process's locks, so it has to be kept for
    /// as long as any connection of this process has the file open: see `Claim::log_index`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let real = path.canonicalize()?;
        File::open(with_suffix(&real, "-shm")).map(Self)
    }

    /// The other process that reads the oldest state. Nothing of the log after that state can be copied into the file.
    pub(super) fn oldest_reader(&self) -> Option<Reader> {
        let readers = (0..SLOTS).filter_map(|slot| {
            let process = lock_holder(&self.0, SLOT_LOCKS_AT + slot, 1)?;
            let mut page = [0; 4];
            self.0.read_exact_at(&mut page, MARKS_AT + 4 * slot).ok()?;
            Some(Reader { process, page: u32::from_ne_bytes(page) })
        });
        readers.min_by_key(|reader| reader.page)
    }
}
