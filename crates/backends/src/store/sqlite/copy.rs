//! Copies of a database: of its state at one point in time, also while ballots are recorded, and checked before they
//! are reported as a backup.

use std::ffi::c_int;
use std::fs::File;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use throng_domain::store::StoreError;

use super::claim::refuse_other_name;
use super::columns::stored_voids;
use super::error::{StoreResult, read_error, write_error};
use super::open::{log_of, open_writer, refuse_orphaned_log};
use super::pace::{LOG_MAX_BYTES, Pace, log_too_long, refuse_long};
use super::{polls, schema, tallies};

/// The pages copied at a time: 1 MiB.
const PAGES_AT_ONCE: c_int = 128;

/// After how many pages they are synced to the disk, so that votes don't wait for many at a time: 16 MiB.
const SYNC_PAGES: c_int = 2_048;

/// How many steps of SQLite's virtual machine pass between two calls of the progress handler.
const STEPS_PER_CALL: c_int = 10_000;

/// What a checked database contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Its polls.
    pub polls: usize,
    /// The ballots in all of them.
    pub ballots: u64,
}

/// Copies the database at `path` into the empty file `to`, and checks the copy. It contains all that was committed up
/// to one point in time. May be called while a server writes; blocks its thread, with pauses for the server's sake.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file can't be read, or its log grows too long meanwhile; [`StoreError::Rejected`]
/// if it isn't a database of Throng's, or its log isn't its own; [`StoreError::Corrupt`] if the copy is damaged or its
/// tallies don't agree with its ballots; [`StoreError::WriteFailed`] if it can't be written.
pub fn copy(path: &Path, to: &Path) -> Result<Checked, StoreError> {
    refuse_orphaned_log(path)?;
    refuse_other_name(path)?;
    let source = open_writer(path)?;
    // The source's files are left unchanged.
    source.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(read_error)?;
    let log = log_of(path);
    copy_pages(&source, to, Some(&mut Pace::beside(&log)))?;
    drop(source);
    check(to, &log)
}

/// Copies what `source` sees into the empty file `to`, and syncs it.
pub(super) fn copy_pages(source: &Connection, to: &Path, mut pace: Option<&mut Pace>) -> StoreResult<()> {
    let file = File::options().write(true).open(to).map_err(|error| StoreError::WriteFailed(error.into()))?;
    let sync = || file.sync_data().map_err(|error| StoreError::WriteFailed(error.into()));
    // One snapshot: without a transaction of its own, a copy starts over whenever another process writes.
    let snapshot = source.unchecked_transaction().map_err(read_error)?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(read_error)?;
    {
        let mut copy =
            Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(write_error)?;
        copy.pragma_update(None, "journal_mode", "OFF").map_err(write_error)?;
        copy.pragma_update(None, "synchronous", "OFF").map_err(write_error)?;
        let backup = Backup::new(&snapshot, &mut copy).map_err(write_error)?;
        let mut unsynced = 0;
        while backup.step(PAGES_AT_ONCE).map_err(write_error)? != StepResult::Done {
            unsynced += PAGES_AT_ONCE;
            if unsynced >= SYNC_PAGES {
                sync()?;
                unsynced = 0;
            }
            if let Some(pace) = &mut pace {
                refuse_long(pace.pause())?;
            }
        }
    }
    drop(snapshot);
    {
        // A copy isn't in WAL mode: so it is one file, and no log that lies beside it is taken for its own.
        let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(write_error)?;
        copy.pragma_update(None, "journal_mode", "DELETE").map_err(write_error)?;
    }
    sync()
}

/// Checks a database that no process writes to: SQLite's own check of its pages, and each poll's tallies against its
/// ballots. `log` is that of the server whose votes take precedence, if there is one.
pub(super) fn check(path: &Path, log: &Path) -> StoreResult<Checked> {
    let mut database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(read_error)?;
    if schema::states(&database)?.iter().all(|state| !state.applied) {
        return Err(StoreError::Rejected(format!("{} is no database of Throng's", path.display())));
    }
    let mut pace = Pace::beside(log);
    database
        .progress_handler(
            STEPS_PER_CALL,
            Some(move || {
                pace.pause();
                false
            }),
        )
        .map_err(read_error)?;
    let integrity: String =
        database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(read_error)?;
    if integrity != "ok" {
        return Err(corrupt(integrity));
    }
    // The schema of an earlier version is brought up to date for the check alone: the rollback leaves the copy as it was.
    let database = database.transaction().map_err(read_error)?;
    schema::apply_missing(&database)?;
    let mut checked = Checked::default();
    for (poll, slug) in polls::slugs(&database).map_err(read_error)? {
        let Some(recount) = tallies::recount_within(&database, poll, None).map_err(read_error)? else { continue };
        // Between the storing of a rule that makes ballots void and the count by it, they differ.
        let voids = "SELECT voids FROM poll WHERE id = ?1";
        let voids = database.query_row(voids, [poll.0], |row| stored_voids(row, 0)).map_err(read_error)?;
        let is_settled = voids.iter().all(|void| void.applied);
        if is_settled && !recount.agrees() {
            return Err(corrupt(format!(
                "the tallies of poll `{slug}` say {} voters, its ballots are {}",
                recount.tallies.voters, recount.ballots.voters
            )));
        }
        checked.polls += 1;
        checked.ballots += recount.ballots.voters;
    }
    let strays = "SELECT count(*) FROM (SELECT poll_id FROM tally UNION ALL SELECT poll_id FROM result UNION ALL SELECT poll_id FROM tally_detail) \
                  WHERE poll_id NOT IN (SELECT id FROM poll)";
    match database.query_row(strays, [], |row| row.get(0)).map_err(read_error)? {
        0_u64 => {}
        strays => return Err(corrupt(format!("{strays} tallies belong to polls that don't exist"))),
    }
    database.rollback().map_err(write_error)?;
    Ok(checked)
}

/// Aborts the queries of `reader`, with an error, once the log has become too long because of them. Votes take precedence over those
/// that aren't urgent, which pause while ballots arrive.
pub(super) fn bound_log(reader: &mut Connection, path: &Path, is_urgent: bool) -> StoreResult<()> {
    let log = log_of(path);
    let mut pace = (!is_urgent).then(|| Pace::beside(&log));
    let is_too_long = move || match &mut pace {
        Some(pace) => pace.pause() > LOG_MAX_BYTES,
        None => std::fs::metadata(&log).is_ok_and(|found| found.len() > LOG_MAX_BYTES),
    };
    reader.progress_handler(STEPS_PER_CALL, Some(is_too_long)).map_err(read_error)
}

/// What an error of a reader with a bounded log means.
pub(super) fn bounded_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => log_too_long(),
        _ => read_error(error),
    }
}

fn corrupt(what: String) -> StoreError {
    StoreError::Corrupt(what.into())
}
