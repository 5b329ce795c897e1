//! A log that can't be reset because another program reads the file: which program that is, and how much of the disk
//! the log may use.
//!
//! No program can be prevented from reading, or forced to end. So the log has no limit of its own but the disk: votes are
//! rejected while there is just enough space left to copy the log into the file, which frees space once the reader has ended.

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

/// From this length on, in bytes, a log counts as long: a program has read the file for the time in which many voted.
pub const LOG_LONG_BYTES: u64 = 256 * 1024 * 1024;

/// The space that is reserved on the disk, in bytes, in addition to what the log will need in the file: more than a
/// second of votes.
const RESERVED_BYTES: u64 = 256 * 1024 * 1024;

/// The observed state of a log.
#[derive(Debug)]
pub(super) struct LogWatch {
    /// Set where only this process serves the file.
    index: Option<Arc<LogIndex>>,
    bytes: u64,
    reader: Option<(Reader, Instant)>,
    /// The length for which a warning was logged; 0 if the log isn't long.
    warned_bytes: u64,
    pub(super) long_bytes: u64,
    pub(super) reserved_bytes: u64,
    /// Why nothing more may be added to the log.
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
            reserved_bytes: RESERVED_BYTES,
            refused: None,
        }
    }

    /// Finds readers from now on, by this index.
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

    /// Checks the log of the file at `place`, which `connection` has open.
    pub(super) fn check(&mut self, place: &Place, connection: &Connection) -> StoreResult<()> {
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
                "the log can't be copied into the database while {}; it grows until that ends: end the program",
                self.describe_reader()
            );
        }
        let free = free_bytes(place.file())?;
        if self.reader.is_some() && free < growth_bytes(place, connection)?.saturating_add(self.reserved_bytes) {
            self.refused = Some(format!(
                "the disk is nearly full ({} MB are left) and the log of {} can't be copied into it while {}: end that \
                 program",
                free >> 20,
                place.file().display(),
                self.describe_reader()
            ));
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError::Unavailable`] while the log may not grow.
    pub(super) fn refuse_growth(&self) -> StoreResult<()> {
        self.refused.as_ref().map_or(Ok(()), |why| Err(StoreError::Unavailable(why.clone().into())))
    }

    fn describe_reader(&self) -> String {
        match &self.reader {
            Some((reader, since)) => {
                format!("{} reads it, for {} s so far", reader.process, since.elapsed().as_secs())
            }
            None => "a program reads it".to_owned(),
        }
    }
}

/// The size of the log of the file at `path`, and its oldest reader: for a process that hasn't opened the file. For how
/// long that reader has read isn't known then.
///
/// # Errors
/// [`StoreError::Unavailable`] if it can't be determined.
pub fn read_log_state(path: &Path) -> Result<LogState, StoreError> {
    let bytes = length(&log_of(path))?;
    // Without an index there is no reader.
    let reader = LogIndex::open(path).ok().and_then(|index| index.oldest_reader());
    let reader = reader.map(|reader| LogReader { process: reader.process, seen_for: Duration::ZERO });
    Ok(LogState { bytes, reader })
}

/// The free space on the disk of the file, in bytes.
fn free_bytes(file: &Path) -> StoreResult<u64> {
    let disk = rustix::fs::statvfs(file).map_err(|error| StoreError::Unavailable(error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// By how many bytes the file will grow when the log is copied into it.
fn growth_bytes(place: &Place, connection: &Connection) -> StoreResult<u64> {
    let pages: u64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(read_error)?;
    let page_bytes: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(read_error)?;
    Ok(pages.saturating_mul(page_bytes).saturating_sub(length(place.file())?))
}
