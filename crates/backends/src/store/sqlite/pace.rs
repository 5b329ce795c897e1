//! How fast a copy is made and checked beside a server: in short intervals with pauses in between while ballots arrive,
//! at full speed while none do, and not for so long that the log, which can't be reset meanwhile, grows without bound.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use throng_domain::store::StoreError;
use tokio::time::Instant;

use super::error::StoreResult;

/// How long to work before a pause.
const WORK_INTERVAL: Duration = Duration::from_millis(5);

/// The length of a pause, as a multiple of the time worked: a quarter of one processor is used.
const PAUSE_FACTOR: u32 = 3;

/// The longest pause: an interval may have taken long because the machine is busy.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// From this length of the log on, in bytes, its growth is the greater problem: no more pauses.
const NO_PAUSE_BYTES: u64 = 256 * 1024 * 1024;

/// A log of this many bytes must not grow any more.
pub(super) const LOG_MAX_BYTES: u64 = 900 * 1024 * 1024;

/// The pace of one task beside a database.
#[derive(Debug)]
pub(super) struct Pace {
    log: PathBuf,
    /// When the log was last written, according to its file, and its length.
    last_state: (i64, i64, u64),
    began: Instant,
}

impl Pace {
    /// The pace of a task beside the database with this log.
    pub(super) fn beside(log: &Path) -> Self {
        Self { log: log.to_owned(), last_state: log_state(log), began: Instant::now() }
    }

    /// Pauses, if a pause is due, ballots arrive, and the log isn't too long; returns the log's length.
    pub(super) fn pause(&mut self) -> u64 {
        let worked = self.began.elapsed();
        if worked < WORK_INTERVAL {
            return self.last_state.2;
        }
        let state = log_state(&self.log);
        let busy = std::mem::replace(&mut self.last_state, state) != state;
        if busy && state.2 < NO_PAUSE_BYTES {
            sleep((worked * PAUSE_FACTOR).min(PAUSE_MAX));
        }
        self.began = Instant::now();
        state.2
    }
}

/// The error when a reader has to end because of the log's length.
pub(super) fn log_too_long() -> StoreError {
    StoreError::Unavailable(
        format!(
            "so many ballots arrived meanwhile that the database's log has grown to {} MB, and it can't be reset while the \
             database is read; try again when fewer arrive, or on a copy made by `throng backup`",
            LOG_MAX_BYTES >> 20
        )
        .into(),
    )
}

/// Fails for a reader whose database's log has become too long.
pub(super) fn refuse_long(log_bytes: u64) -> StoreResult<()> {
    if log_bytes > LOG_MAX_BYTES { Err(log_too_long()) } else { Ok(()) }
}

fn log_state(log: &Path) -> (i64, i64, u64) {
    std::fs::metadata(log).map_or((0, 0, 0), |found| (found.mtime(), found.mtime_nsec(), found.len()))
}

#[expect(clippy::disallowed_methods, reason = "a pause that leaves the processor to others; no event ends it")]
fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}
