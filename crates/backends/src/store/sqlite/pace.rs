//! How fast a copy is made and checked beside a server: in short stretches with pauses in between while ballots come, at
//! full speed while none do, and not for so long that the log, which can't begin anew meanwhile, grows without bound.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use throng_domain::store::StoreError;
use tokio::time::Instant;

use super::error::StoreResult;

/// How long is worked before a pause.
const STRETCH: Duration = Duration::from_millis(5);

/// How many times as long as it was worked the pause is: a quarter of one processor is used.
const PAUSES: u32 = 3;

/// The most that is waited at once: a stretch may have taken long because the machine is busy.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A log of more bytes than this is the greater evil: no more pauses.
const HURRY_BYTES: u64 = 256 * 1024 * 1024;

/// A log of so many bytes is not allowed to grow any more.
pub(super) const LOG_MAX_BYTES: u64 = 900 * 1024 * 1024;

/// The pace of one piece of work beside a database.
#[derive(Debug)]
pub(super) struct Pace {
    log: PathBuf,
    /// When the log was last written, as its file says, and how long it is.
    seen: (i64, i64, u64),
    began: Instant,
}

impl Pace {
    /// That of work beside the database with this log.
    pub(super) fn beside(log: &Path) -> Self {
        Self { log: log.to_owned(), seen: look(log), began: Instant::now() }
    }

    /// Pauses, if it is time for that, ballots come, and the log isn't too long; returns the log's length.
    pub(super) fn pause(&mut self) -> u64 {
        let worked = self.began.elapsed();
        if worked < STRETCH {
            return self.seen.2;
        }
        let seen = look(&self.log);
        let busy = std::mem::replace(&mut self.seen, seen) != seen;
        if busy && seen.2 < HURRY_BYTES {
            sleep((worked * PAUSES).min(PAUSE_MAX));
        }
        self.began = Instant::now();
        seen.2
    }
}

/// What is said when a reader has to end for the log's sake.
pub(super) fn log_too_long() -> StoreError {
    StoreError::Unavailable(
        format!(
            "so many ballots came meanwhile that the database's log has grown to {} MB, and it can't be shortened while the \
             database is read; try again when fewer come, or on a copy made by `throng backup`",
            LOG_MAX_BYTES >> 20
        )
        .into(),
    )
}

/// Ends a reader whose database's log has become too long.
pub(super) fn refuse_long(log_bytes: u64) -> StoreResult<()> {
    if log_bytes > LOG_MAX_BYTES { Err(log_too_long()) } else { Ok(()) }
}

fn look(log: &Path) -> (i64, i64, u64) {
    std::fs::metadata(log).map_or((0, 0, 0), |found| (found.mtime(), found.mtime_nsec(), found.len()))
}

#[expect(clippy::disallowed_methods, reason = "a pause for others' sake, which no event ends")]
fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}
