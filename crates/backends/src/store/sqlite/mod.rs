//! Ballots in one SQLite file: one writer that commits groups, readers apart.
//!
//! The file is in WAL mode with `synchronous=FULL`, so a commit is on the disk when it returns, and readers never
//! wait for the writer nor the writer for them.

mod error;
mod polls;
mod readers;
mod record;
mod schema;
mod tallies;

use std::ffi::c_int;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::store::{Database, MigrationState, Recorded, Recount, Store, StoreError, Window};
use throng_domain::tally::Tallies;

use self::error::{StoreResult, read_error};
use self::readers::Readers;
pub use self::schema::migrations;

/// How long a statement waits for another process's write to end, in milliseconds.
const BUSY_WAIT_MAX_MS: u64 = 2_000;

/// How often it is tried to have a new file written through a log. Each try that fails waits for another process's.
const TURNS_MAX: usize = 100;

/// The size of a new file's pages, in bytes. The ballots' index is put in order page by page as it grows, so larger
/// pages than SQLite's 4 KiB mean fewer of them in a commit; a single ballot's commit writes two.
const PAGE_BYTES: u32 = 8_192;

/// The pages written to the log before the writer copies them into the database file: 32 MiB. Fewer means more
/// syncs, more means a longer recovery.
const CHECKPOINT_PAGES: c_int = 4_096;

/// The first release without the race that could corrupt a database when its log was reset (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped before the writer: the connection that is closed last brings the log into the database file, which a
    // reader can't. So a file that nobody has open is whole by itself.
    readers: Arc<Readers>,
    writer: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the file, creating it and its directory where they are missing. The schema is left as it is: see
    /// [`Database::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the SQLite linked in is too old to be safe; [`StoreError::Unavailable`] or
    /// [`StoreError::Corrupt`] if the file can't be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_directory(path)?;
        Self::open_with(path, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens the file if it is there; `None` if it isn't. For those who look at a database and must not make one by
    /// a mistyped name.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        match path.try_exists() {
            Ok(true) => Self::open_with(path, OpenFlags::empty()).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(StoreError::Unavailable(error.into())),
        }
    }

    fn open_with(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let version = rusqlite::version_number();
        if version < SQLITE_VERSION_MIN {
            return Err(StoreError::Rejected(format!(
                "SQLite {} can corrupt a database when its log is reset; Throng needs 3.51.3 or later",
                rusqlite::version()
            )));
        }
        let writer = open_writer(path, flags).map_err(read_error)?;
        let readers = Arc::new(Readers::new(path.to_owned()));
        Ok(Self { writer: Arc::new(Mutex::new(writer)), readers })
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        lock(&self.writer)
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let writer = Arc::clone(&self.writer);
        blocking(move || change(&mut lock(&writer))).await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let readers = Arc::clone(&self.readers);
        blocking(move || readers.with(query).map_err(read_error)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        record::record(&mut self.lock_writer(), ballots)
    }

    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.read(polls::all).await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.read(polls::version).await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        let slug = slug.clone();
        self.read(move |reader| polls::by_slug(reader, &slug)).await
    }

    async fn create_poll(&self, new: NewPoll) -> Result<Poll, StoreError> {
        self.write(move |writer| polls::create(writer, new)).await
    }

    async fn set_window(&self, poll: PollId, version: u64, window: Window) -> Result<Poll, StoreError> {
        self.write(move |writer| polls::set_window(writer, poll, version, window)).await
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        self.read(move |reader| tallies::of_poll(reader, poll)).await?.ok_or_else(|| no_such_poll(poll))
    }

    async fn recount(&self, poll: PollId) -> Result<Recount, StoreError> {
        self.read(move |reader| tallies::recount(reader, poll)).await?.ok_or_else(|| no_such_poll(poll))
    }

    async fn ballots(&self, poll: PollId, after: Option<BallotKey>, limit: usize) -> Result<Vec<Ballot>, StoreError> {
        self.read(move |reader| record::stored(reader, poll, after, limit)).await
    }
}

#[async_trait]
impl Database for SqliteStore {
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        schema::migrate(&mut self.lock_writer())
    }

    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError> {
        schema::states(&self.lock_writer())
    }

    /// None: the settings that matter are this process's own, and safe.
    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// This machine's.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
        self.read(|reader| reader.query_row(now, [], |row| row.get(0).map(Timestamp))).await
    }
}

/// Makes the directory that `path` is to be in.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(directory).map_err(|error| StoreError::Unavailable(error.into()))
}

fn no_such_poll(poll: PollId) -> StoreError {
    StoreError::Rejected(format!("there is no poll number {}", poll.0))
}

fn open_writer(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut writer = Connection::open_with_flags(path, flags)?;
    writer.busy_timeout(Duration::from_millis(BUSY_WAIT_MAX_MS))?;
    writer.pragma_update(None, "page_size", PAGE_BYTES)?;
    turn_to_log(&writer)?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.wal_hook(Some(checkpoint))?;
    writer.pragma_update(None, "foreign_keys", false)?;
    // Otherwise a statement is planned anew whenever another value is bound to it: here, with every batch.
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(writer)
}

/// Has the file written through a log. Where several open a new file at once, those who are in the way of one another are
/// told at once that it is busy, whatever they would wait: it could be for each other. So they wait for the right to
/// write, which SQLite does wait for, and try again.
fn turn_to_log(writer: &Connection) -> rusqlite::Result<()> {
    let turn = || writer.pragma_update(None, "journal_mode", "WAL");
    for _ in 1..TURNS_MAX {
        match turn() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            turned => return turned,
        }
    }
    turn()
}

/// Runs after each commit, with the log's length: copies a long log into the database file.
///
/// SQLite's own hook ignores a sync that failed here, and tries it again later, when the system has forgotten the
/// pages that it didn't write. This one lets the commit fail, after which nothing more is recorded.
fn checkpoint(log: &mut Wal, pages: c_int) -> rusqlite::Result<()> {
    if pages < CHECKPOINT_PAGES {
        return Ok(());
    }
    match log.checkpoint() {
        // Another process copies. Nothing is wrong, and the commit before this is done.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        copied => copied,
    }
}

/// A panic while the lock was held rolled its transaction back, so what the lock guards is sound.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable(error.into())),
    }
}

#[cfg(test)]
mod tests;
