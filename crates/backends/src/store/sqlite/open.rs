//! Opening a file: what has to be checked first, since SQLite opens any file that it finds, with anything that lies beside it.

use std::ffi::c_int;
use std::fs::{File, Metadata, metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use throng_domain::store::StoreError;

use super::error::{StoreResult, read_error};
use super::header::{Header, Marks};
use super::place::with_suffix;

/// How long a statement that doesn't record ballots waits for another process's write to end.
pub(super) const WRITE_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often the switch of a new file to WAL mode is attempted. Each attempt that fails waits for another process's.
const SWITCH_TRIES_MAX: usize = 100;

/// How often a file and its log are compared before they are reported as not belonging together: a checkpoint may happen between
/// the two reads.
pub(super) const COMPARISONS_MAX: usize = 5;

/// The size of a new file's pages, in bytes. The ballots' index is put in order page by page as it grows, so with pages
/// larger than SQLite's 4 KiB a commit writes fewer of them; a single ballot's commit writes two.
const PAGE_BYTES: u32 = 8_192;

/// A log's own header, in bytes: a log that isn't longer contains no commit.
const LOG_HEADER_BYTES: u64 = 32;

/// The length to which a log is truncated when it is reset, in bytes.
const LOG_KEPT_BYTES: u32 = 32 * 1024 * 1024;

/// The only directory that is created where it is missing: that of the default database.
const DEFAULT_DIRECTORY: &str = "var";

/// The first release without the race that could corrupt a database when its log was reset (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// A connection to write with. A file without tables is left unchanged: it gets its tables before it is switched to WAL
/// mode, so that a copy of the file alone always has them.
pub(super) fn open_writer(path: &Path) -> StoreResult<Connection> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        return Err(StoreError::Rejected(format!(
            "SQLite {} can corrupt a database when its log is reset; Throng needs 3.51.3 or later",
            rusqlite::version()
        )));
    }
    for _ in 0..COMPARISONS_MAX {
        let file = read_header(path)?;
        let log_bytes = length(&log_of(path))?;
        let writer = connect(path).map_err(read_error)?;
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: u64 = writer.query_row(tables, [], |row| row.get(0)).map_err(read_error)?;
        match file {
            Some(file) if file.is_wal && tables == 0 => return Err(copied_without_log(path)),
            Some(file) if log_bytes > LOG_HEADER_BYTES && !belong_together(file, &writer)? => {}
            Some(_) | None => {
                // From here on the connection that is closed last may copy the log into the file.
                writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(read_error)?;
                return Ok(writer);
            }
        }
    }
    Err(foreign_log(path))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let writer =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    writer.busy_timeout(WRITE_WAIT_MAX)?;
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Otherwise a statement is planned again whenever another value is bound to it: here, with every batch.
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    writer.pragma_update(None, "page_size", PAGE_BYTES)?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "foreign_keys", false)?;
    writer.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    Ok(writer)
}

/// Switches the file to WAL mode. Where several processes open a new file at the same time, SQLite reports to those
/// that block each other that it is busy, at once and whatever the busy timeout, since they could be waiting for each
/// other. So they wait for the write lock, for which SQLite does wait, and try again.
pub(super) fn switch_to_log(writer: &Connection) -> rusqlite::Result<()> {
    let switch = || writer.pragma_update(None, "journal_mode", "WAL");
    for _ in 1..SWITCH_TRIES_MAX {
        match switch() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            result => return result,
        }
    }
    switch()
}

/// The marks of the last commit.
pub(super) fn marks(connection: &Connection) -> rusqlite::Result<Marks> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0)).map(Marks::from_id)
}

/// Whether the log that `writer` sees is based on a file with this header. A file that isn't in WAL mode, such as a
/// copy made by `VACUUM INTO`, has no log, though SQLite would use any that it finds beside it.
pub(super) fn belong_together(file: Header, writer: &Connection) -> StoreResult<bool> {
    let marks = marks(writer).map_err(read_error)?;
    let cookie: u32 = writer.pragma_query_value(None, "schema_version", |row| row.get(0)).map_err(read_error)?;
    let unmarked = marks.are_missing() || file.marks.are_missing();
    Ok(file.is_wal && (unmarked || (marks.are_based_on(file.marks) && file.schema_cookie <= cookie)))
}

/// Refuses to create a file, or to use an empty one, beside an orphaned log: SQLite would delete the log.
pub(super) fn refuse_orphaned_log(path: &Path) -> StoreResult<()> {
    let log = log_of(path);
    let bytes = length(&log)?;
    if bytes == 0 || length(path)? > 0 {
        return Ok(());
    }
    Err(StoreError::Rejected(format!(
        "{} is missing or empty, but its log {} exists, with {bytes} bytes: it may hold the only copy of ballots. \
         Nothing was changed. Put the file back that the log belongs to; or, with a backup, run `throng restore FILE`, \
         which keeps the log; to start with an empty database, move the log away first",
        path.display(),
        log.display()
    )))
}

/// Creates an empty file, which only its owner may read, if there is none.
pub(super) fn create_file(path: &Path) -> StoreResult<()> {
    let create = || File::options().create(true).append(true).mode(0o600).open(path).map(drop);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(directory) if directory == Path::new(DEFAULT_DIRECTORY) => {
                std::fs::create_dir_all(directory).and_then(|()| create()).map_err(unavailable)
            }
            Some(directory) => Err(StoreError::Rejected(format!(
                "there is no directory {} for the database; create it, or correct DATABASE_URL",
                directory.display()
            ))),
            None => Err(unavailable(error)),
        },
        result => result.map_err(unavailable),
    }
}

/// The file's header; `None` if the file is empty or isn't a database.
pub(super) fn read_header(path: &Path) -> StoreResult<Option<Header>> {
    if let Some(found) = metadata_if_exists(path)?
        && !found.is_file()
    {
        return Err(StoreError::Rejected(format!("{} is no regular file", path.display())));
    }
    let mut bytes = [0; Header::BYTES];
    match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => Ok(Header::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// The path of a file's log: beside the target of a symbolic link.
pub(super) fn log_of(path: &Path) -> PathBuf {
    with_suffix(&path.canonicalize().unwrap_or_else(|_| path.to_owned()), "-wal")
}

/// A file's length, 0 if there is none.
pub(super) fn length(path: &Path) -> StoreResult<u64> {
    Ok(metadata_if_exists(path)?.map_or(0, |found| found.len()))
}

fn metadata_if_exists(path: &Path) -> StoreResult<Option<Metadata>> {
    match metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

fn copied_without_log(path: &Path) -> StoreError {
    StoreError::Rejected(format!(
        "{} has no tables: it was copied without its log while a server wrote to it, or its creation was interrupted. \
         Nothing was changed. Copy the file together with its -wal, or make a copy with `throng backup`; a new database \
         needs an empty or a missing file",
        path.display()
    ))
}

fn foreign_log(path: &Path) -> StoreError {
    let log = log_of(path);
    StoreError::Rejected(format!(
        "the log {log} doesn't belong to {path}: the file was put there after the log was written, or the other way round. \
         Together they would be damaged, so neither was changed. To use the file without what only that log holds, move \
         the log away (mv {log} {log}.old). To use the log, put back the file that it belongs to. To put a backup in \
         place, use `throng restore`",
        log = log.display(),
        path = path.display()
    ))
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

/// Sets how long to wait for another process's write to end.
pub(super) fn set_lock_wait(connection: &Connection, wait_max: Duration) -> StoreResult<()> {
    connection.busy_timeout(wait_max).map_err(read_error)
}

/// The number of pages in the log after a commit, as reported by SQLite's hook.
pub(super) type LogPages = std::sync::Arc<std::sync::atomic::AtomicI32>;

/// Records the length of the log after each commit, instead of SQLite's own checkpoints, which ignore a failed sync.
pub(super) fn watch_log(writer: &mut Connection) -> rusqlite::Result<LogPages> {
    let pages = LogPages::default();
    let latest = LogPages::clone(&pages);
    writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: c_int| {
        latest.store(pages, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(pages)
}
