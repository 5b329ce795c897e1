//! A log that can't begin anew, because another program reads the file: who that is, and what it may take of the disk.
//!
//! No program can be kept from reading, nor made to end. So the log has no bound of its own, and what bounds it is the disk:
//! votes are refused while there is just enough left to bring the log into the file, which makes room again once the reader
//! has ended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use throng_domain::store::{LogReader, LogState, StoreError};
use tokio::time::Instant;
use tracing::warn;

use super::error::{StoreResult, read_error};
use super::holders::{LogIndex, Reader};
use super::open::{length, log_of};
use super::place::Place;

/// From this length on, in bytes, a log is long: something has been reading the file while many voted.
pub const LOG_LONG_BYTES: u64 = 256 * 1024 * 1024;

/// The room that is kept on the disk, in bytes, beside what the log will need in the file: more than a second of votes.
const ROOM_KEPT_BYTES: u64 = 256 * 1024 * 1024;

/// What is known of a log.
#[derive(Debug)]
pub(super) struct LogWatch {
    /// Where this process alone serves the file.
    index: Option<Arc<LogIndex>>,
    bytes: u64,
    reader: Option<(Reader, Instant)>,
    /// The length that was warned of; 0 if it isn't long.
    warned_bytes: u64,
    pub(super) long_bytes: u64,
    pub(super) room_kept_bytes: u64,
    /// Why nothing more may be added to it.
    refused: Option<String>,
}

impl LogWatch {
    pub(super) fn new() -> Self {
        Self {
            index: None,
            bytes: 0,
            reader: None,
            warned_bytes: 0,
            long_bytes: LOG_LONG_BYTES,
            room_kept_bytes: ROOM_KEPT_BYTES,
            refused: None,
        }
    }

    /// Finds readers from now on, in this index.
    pub(super) fn find_readers(&mut self, index: Arc<LogIndex>) {
        self.index = Some(index);
    }

    pub(super) fn state(&self) -> LogState {
        let reader = self
            .reader
            .as_ref()
            .map(|(reader, since)| LogReader { process: reader.process.clone(), seen_for: since.elapsed() });
        LogState { bytes: self.bytes, reader }
    }

    /// Looks at the log of the file at `place`, which `connection` has open.
    pub(super) fn look(&mut self, place: &Place, connection: &Connection) -> StoreResult<()> {
        self.bytes = length(place.log())?;
        let found = self.index.as_ref().and_then(|index| index.oldest_reader());
        self.reader = found.map(|found| match self.reader.take() {
            Some((reader, since)) if reader == found => (reader, since),
            Some(_) | None => (found, Instant::now()),
        });
        self.refused = None;
        if self.bytes <= self.long_bytes {
            self.warned_bytes = 0;
            return Ok(());
        }
        if self.bytes >= self.warned_bytes.saturating_mul(2) {
            self.warned_bytes = self.bytes;
            warn!(
                log = %place.log().display(), bytes = self.bytes,
                "the log can't be brought into the database while {}; it grows until that ends: end the program",
                self.reading()
            );
        }
        let free = room(place.file())?;
        if self.reader.is_some() && free < room_needed(place, connection)?.saturating_add(self.room_kept_bytes) {
            self.refused = Some(format!(
                "the disk is nearly full ({} MB are left) and the log of {} can't be brought into it while {}: end that \
                 program",
                free >> 20,
                place.file().display(),
                self.reading()
            ));
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError::Unavailable`] while the log may not grow any more.
    pub(super) fn refuse_growth(&self) -> StoreResult<()> {
        self.refused.as_ref().map_or(Ok(()), |why| Err(StoreError::Unavailable(why.clone().into())))
    }

    fn reading(&self) -> String {
        match &self.reader {
            Some((reader, since)) => {
                format!("{} reads it, for {} s so far", reader.process, since.elapsed().as_secs())
            }
            None => "a program reads it".to_owned(),
        }
    }
}

/// What the log of the file at `path` takes up, and who reads: for a process that hasn't opened the file. How long it has been
/// read isn't known then.
///
/// # Errors
/// [`StoreError::Unavailable`] if it can't be seen.
pub fn look_at_log(path: &Path) -> Result<LogState, StoreError> {
    let bytes = length(&log_of(path))?;
    // Without an index nobody reads.
    let reader = LogIndex::open(path).ok().and_then(|index| index.oldest_reader());
    let reader = reader.map(|reader| LogReader { process: reader.process, seen_for: Duration::ZERO });
    Ok(LogState { bytes, reader })
}

/// The bytes that are left where the file is.
fn room(file: &Path) -> StoreResult<u64> {
    let disk = rustix::fs::statvfs(file).map_err(|error| StoreError::Unavailable(error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// By how many bytes the file will grow when the log is brought into it.
fn room_needed(place: &Place, connection: &Connection) -> StoreResult<u64> {
    let pages: u64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(read_error)?;
    let page_bytes: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(read_error)?;
    Ok(pages.saturating_mul(page_bytes).saturating_sub(length(place.file())?))
}
