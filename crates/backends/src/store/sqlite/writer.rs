//! The one connection that writes: after each commit it checks whether the file is still in its place, and it copies
//! the log into the file when the log is long or nothing is written.

use std::ffi::c_int;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode, TransactionBehavior};
use throng_domain::ballot::Ballot;
use throng_domain::store::{LogState, Recorded, StoreError};
use tokio::time::Instant;

use super::claim::Claim;
use super::error::{StoreResult, read_error, write_error};
use super::header::Marks;
use super::log::LogWatch;
use super::open::{
    COMPARISONS_MAX, LogPages, WRITE_WAIT_MAX, belong_together, marks, set_lock_wait, switch_to_log, watch_log,
};
use super::place::Place;
use super::record;
use super::voters::Voters;

/// How long ballots, and the check whether any could be recorded, wait for another process's write to end. Batches queued behind
/// them don't wait again.
const RECORD_WAIT_MAX: Duration = Duration::from_millis(400);

/// The pages written to the log before they are copied into the database file: 32 MiB. Fewer means more syncs, more
/// means a longer recovery.
const CHECKPOINT_PAGES: c_int = 4_096;

/// After how many more pages a checkpoint that a reader prevented is tried again: 8 MiB.
const CHECKPOINT_AGAIN_PAGES: c_int = 1_024;

/// After how long the log is copied also while ballots keep arriving.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    place: Arc<OnceLock<Place>>,
    /// Released after the connection is closed.
    claim: Option<Claim>,
    /// The voters of polls whose policy identifies them.
    pub(super) voters: Arc<Voters>,
    log: LogPages,
    /// The log's pages just after the last complete checkpoint, when it contains nothing but the mark.
    log_clean: c_int,
    /// The log's pages at the last maintenance.
    log_maintained: c_int,
    /// The number of the log's pages from which on a checkpoint is due.
    log_full: c_int,
    checkpointed: Instant,
    /// Whether the last ballots failed because of another process's lock.
    was_locked: bool,
    pub(super) log_watch: LogWatch,
}

impl Writer {
    /// Takes over a connection; `place` is set as soon as the file is in WAL mode.
    pub(super) fn new(
        mut connection: Connection,
        path: &Path,
        place: Arc<OnceLock<Place>>,
        claim: Option<Claim>,
    ) -> StoreResult<Self> {
        let log = watch_log(&mut connection).map_err(read_error)?;
        let mut writer = Self {
            connection,
            place,
            voters: claim.as_ref().map(Claim::voters).unwrap_or_default(),
            claim,
            log,
            log_clean: 0,
            log_maintained: 0,
            log_full: CHECKPOINT_PAGES,
            checkpointed: Instant::now(),
            was_locked: false,
            log_watch: LogWatch::new(),
        };
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: u64 = writer.connection.query_row(tables, [], |row| row.get(0)).map_err(read_error)?;
        if tables > 0 {
            writer.enable_log(path)?;
        }
        Ok(writer)
    }

    /// Switches the file to WAL mode, once it has its tables. A process that serves it then copies the log into the
    /// file, so that the file alone is never without the tables, and the log is known to be the file's.
    pub(super) fn enable_log(&mut self, path: &Path) -> StoreResult<()> {
        if self.place.get().is_none() {
            switch_to_log(&self.connection).map_err(read_error)?;
            // The log and its index are created by the first read of the file.
            self.connection.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(read_error)?;
            let claimed = self.claim.as_ref().and_then(Claim::database).cloned();
            let _ = self.place.set(Place::of(path, claimed)?);
            if let Some(claim) = &self.claim {
                let index = claim.log_index(path).map_err(|error| StoreError::Unavailable(error.into()))?;
                self.log_watch.find_readers(index);
            }
        }
        if self.claim.is_some() { self.checkpoint() } else { Ok(()) }
    }

    /// The state of the log.
    pub(super) fn log_state(&self) -> Option<LogState> {
        self.place.get().map(|_| self.log_watch.state())
    }

    pub(super) fn record(&mut self, ballots: &[Ballot]) -> StoreResult<Recorded> {
        self.log_watch.refuse_growth()?;
        set_lock_wait(&self.connection, self.record_wait())?;
        let recorded = record::record(&mut self.connection, &self.voters, ballots);
        self.was_locked = matches!(recorded, Err(StoreError::Unavailable(_)));
        let recorded = recorded?;
        self.check_place()?;
        self.checkpoint_if_long()?;
        Ok(recorded)
    }

    /// How long ballots wait for another process's write to end. A batch queued behind ballots that waited in vain fails at once.
    fn record_wait(&self) -> Duration {
        if self.was_locked { Duration::ZERO } else { RECORD_WAIT_MAX }
    }

    /// From now on the voters of all polls are wanted, if this process serves the file.
    pub(super) fn want_voters(&self) -> StoreResult<()> {
        match self.claim {
            Some(_) => self.voters.lock().want_all(&self.connection).map_err(read_error),
            None => Ok(()),
        }
    }

    /// Changes something other than ballots.
    pub(super) fn write<T>(&mut self, change: impl FnOnce(&mut Connection) -> StoreResult<T>) -> StoreResult<T> {
        set_lock_wait(&self.connection, WRITE_WAIT_MAX)?;
        let changed = change(&mut self.connection)?;
        self.check_place()?;
        Ok(changed)
    }

    /// Implements [`throng_domain::store::BallotStore::maintain`].
    pub(super) fn maintain(&mut self) -> StoreResult<()> {
        let Some(place) = self.place.get() else { return Ok(()) };
        place.check_all()?;
        self.check_file()?;
        if let Some(place) = self.place.get() {
            self.log_watch.check(place, &self.connection)?;
        }
        self.log_watch.refuse_growth()?;
        self.voters.lock().forget_over(&self.connection).map_err(read_error)?;
        let pages = self.log.load(Ordering::Relaxed);
        let (dirty, idle) = (pages != self.log_clean, pages == self.log_maintained);
        self.log_maintained = pages;
        // Another process may write at this moment, such as a command that makes codes: that doesn't refuse ballots either.
        set_lock_wait(&self.connection, self.record_wait())?;
        if dirty && (idle || self.checkpointed.elapsed() >= CHECKPOINT_EVERY) {
            return self.checkpoint();
        }
        if idle {
            self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(read_error)?;
            self.was_locked = false;
        }
        Ok(())
    }

    /// Whether the file has no name any more, so that it is lost once this process ends.
    pub(super) fn is_file_deleted(&self) -> bool {
        self.place.get().is_some_and(Place::is_deleted)
    }

    fn check_place(&self) -> StoreResult<()> {
        self.place.get().map_or(Ok(()), Place::check)
    }

    /// Checks that the file is still the one that the log is based on: it isn't if another was copied over it.
    fn check_file(&mut self) -> StoreResult<()> {
        let Some(place) = self.place.get().filter(|_| self.claim.is_some()) else { return Ok(()) };
        // Another store of this process may copy the log between the two reads.
        for _ in 0..COMPARISONS_MAX {
            if let Some(header) = place.header()?
                && belong_together(header, &self.connection)?
            {
                return Ok(());
            }
        }
        // Whatever the file contains now, the log must not be copied into it.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(read_error)?;
        Err(place.displaced("overwritten"))
    }

    fn checkpoint_if_long(&mut self) -> StoreResult<()> {
        if self.log.load(Ordering::Relaxed) < self.log_full {
            return Ok(());
        }
        match self.checkpoint() {
            // Another process holds a lock. The commit before this is complete, so the checkpoint can wait.
            Err(StoreError::Unavailable(_)) => Ok(()),
            result => result,
        }
    }

    /// Copies the log into the file, as far as no process reads an older state. After a failed sync here the system may
    /// have discarded what it didn't write, so it isn't tried again: that is [`StoreError::WriteFailed`].
    ///
    /// See [`super::header`] for the two commits around it.
    pub(super) fn checkpoint(&mut self) -> StoreResult<()> {
        let sealed = self.mark(Marks::sealed_again)?;
        self.checkpointed = Instant::now();
        let copied = match self.connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
            // Another process is copying.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => false,
            Err(error) => return Err(write_error(error)),
            Ok((pages, copied)) => pages == copied,
        };
        if copied && !sealed.are_missing() {
            self.mark(|marks| marks.based_on(sealed))?;
            self.log_clean = self.log.load(Ordering::Relaxed);
        }
        self.log_full = match self.log.load(Ordering::Relaxed) {
            pages if pages < CHECKPOINT_PAGES => CHECKPOINT_PAGES,
            pages => pages.saturating_add(CHECKPOINT_AGAIN_PAGES),
        };
        Ok(())
    }

    /// Commits changed marks.
    fn mark(&mut self, change: impl FnOnce(Marks) -> Marks) -> StoreResult<Marks> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
        let current = marks(&transaction).map_err(read_error)?;
        let marked = if current.are_missing() { first_marks(&transaction)? } else { change(current) };
        transaction.pragma_update(None, "application_id", marked.id()).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
        Ok(marked)
    }
}

/// Marks for a database that has none yet.
pub(super) fn first_marks(connection: &Connection) -> StoreResult<Marks> {
    connection.query_row("SELECT random()", [], |row| row.get(0)).map(Marks::first).map_err(read_error)
}
