//! What an error of MySQL or MariaDB means to the caller.

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;
use throng_domain::store::StoreError;

use crate::store::tls;

pub(super) type StoreResult<T> = Result<T, StoreError>;

const TABLE_MISSING: u16 = 1146;
const COLUMN_MISSING: u16 = 1054;
const DATABASE_MISSING: u16 = 1049;
const DUPLICATE: u16 = 1062;
const DEADLOCK: u16 = 1213;
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const BINLOG_IS_STATEMENTS: u16 = 1665;

/// The user is unknown or its password is wrong.
const LOGIN_REFUSED: [u16; 2] = [1045, 1698];

/// The user isn't allowed to use the database, a table or a column.
const NOT_ALLOWED: [u16; 5] = [1044, 1130, 1142, 1143, 1227];

/// The stored data can't be read: a table or its index is damaged.
const DAMAGED: [u16; 5] = [1034, 1194, 1195, 1712, 1877];

/// The server accepts no writes (`read_only`, a read-only transaction, a standby). It reports this for a `COMMIT` as
/// well, and has then rolled back.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];

/// An error of the first connection, or of the schema: if only an operator can fix the cause, the message explains how.
/// Later the same error may be temporary, as while a password is changed.
pub(super) fn open_error(error: Error) -> StoreError {
    if let Some(advice) = tls::advice(&error) {
        return StoreError::Rejected(advice);
    }
    match number(&error) {
        Some(DATABASE_MISSING) => StoreError::Rejected(format!(
            "there is no such database; create it (`CREATE DATABASE`), or check the name in DATABASE_URL ({error})"
        )),
        Some(code) if LOGIN_REFUSED.contains(&code) => {
            StoreError::Rejected(format!("check the user and the password in DATABASE_URL ({error})"))
        }
        Some(code) if NOT_ALLOWED.contains(&code) => StoreError::Rejected(format!(
            "the user in DATABASE_URL lacks a privilege; grant it ALL PRIVILEGES on its database ({error})"
        )),
        Some(_) | None => before_commit(error),
    }
}

/// An error before `COMMIT` was sent: nothing was changed, and nothing will be, since the connection is closed.
pub(super) fn before_commit(error: Error) -> StoreError {
    if is_damage(&error) {
        return StoreError::Corrupt(error.into());
    }
    match number(&error) {
        Some(TABLE_MISSING | COLUMN_MISSING) => {
            StoreError::Rejected(format!("the schema doesn't match this throng; run `throng schema migrate` ({error})"))
        }
        Some(BINLOG_IS_STATEMENTS) => {
            StoreError::Rejected(format!("set binlog_format=ROW (or MIXED) on the database server ({error})"))
        }
        Some(_) | None => StoreError::Unavailable(error.into()),
    }
}

/// An error from `COMMIT` on: the outcome is unknown unless the server reports that it rolled back.
pub(super) fn commit_error(error: Error) -> StoreError {
    if is_damage(&error) {
        return StoreError::Corrupt(error.into());
    }
    match number(&error) {
        Some(code) if code == DEADLOCK || READ_ONLY.contains(&code) => before_commit(error),
        Some(_) | None => StoreError::Unknown(error.into()),
    }
}

/// Whether the key is already in use.
pub(super) fn is_duplicate(error: &Error) -> bool {
    number(error) == Some(DUPLICATE)
}

/// Whether this transaction conflicted with another one, so that all of it is worth another attempt. The server has
/// rolled back a statement or all of it, depending on its settings.
pub(super) fn is_conflict(error: &Error) -> bool {
    is_duplicate(error) || matches!(number(error), Some(DEADLOCK | LOCK_WAIT_TIMEOUT))
}

/// Whether there is no such table.
pub(super) fn is_table_missing(error: &Error) -> bool {
    number(error) == Some(TABLE_MISSING)
}

/// The stored data isn't what was written.
pub(super) fn corrupt(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Decode(why.into())
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Decode(_) | Error::ColumnDecode { .. } | Error::ColumnNotFound(_))
        || number(error).is_some_and(|code| DAMAGED.contains(&code))
}

fn number(error: &Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}
