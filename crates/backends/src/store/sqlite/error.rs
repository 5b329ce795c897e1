//! What an SQLite error means to the caller.

use rusqlite::{Error, ErrorCode};
use throng_domain::store::StoreError;

pub(super) type StoreResult<T> = Result<T, StoreError>;

/// An error of a statement that changed nothing, or whose transaction was rolled back before its commit.
pub(super) fn read_error(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}

/// An error between the beginning and the end of a commit. Only a lock that couldn't be taken is known to have changed
/// nothing: after a failed write or sync it is unknown what the disk holds, and repeating the call would hide the loss.
pub(super) fn write_error(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(error.into()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.into()),
        _ => StoreError::WriteFailed(error.into()),
    }
}
