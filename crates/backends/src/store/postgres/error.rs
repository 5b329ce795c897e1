//! What an error of PostgreSQL, or of the way to it, means to the caller.

use std::io;

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;
use throng_domain::store::StoreError;

use super::super::{ServerUrl, tls};

pub(super) type StoreResult<T> = Result<T, StoreError>;

/// An error of a transaction that wasn't committed: whatever it did is undone, by the server too once it sees that the
/// connection is closed.
pub(super) fn read_error(error: Error) -> StoreError {
    match (&error, code(&error).unwrap_or_default()) {
        (Error::ColumnDecode { .. } | Error::Decode(_), _) | (_, "XX001" | "XX002") => {
            StoreError::Corrupt(error.into())
        }
        (_, "42P01" | "42703" | "3F000") => StoreError::Rejected(format!(
            "the schema isn't up to date ({}); run `throng schema migrate`",
            words(&error)
        )),
        (_, STATEMENT_THERE | STATEMENT_GONE) => StoreError::Unavailable(
            format!(
                "a pooler before PostgreSQL doesn't keep track of prepared statements ({}); set max_prepared_statements = 200 \
                 in PgBouncer (1.21 or later), or pool_mode = session",
                words(&error)
            )
            .into(),
        ),
        // No reading of the same thing again helps; all else may pass: no room, too many clients, a restart, a standby.
        (_, code) if ["22", "23", "42"].iter().any(|class| code.starts_with(class)) && code != DENIED => {
            StoreError::Rejected(words(&error))
        }
        _ => StoreError::Unavailable(error.into()),
    }
}

/// An error from when the commit was sent on: it may have happened. Damage is damage.
pub(super) fn commit_error(error: Error) -> StoreError {
    match read_error(error) {
        StoreError::Unavailable(source) => StoreError::Unknown(source),
        StoreError::Rejected(why) | StoreError::Conflict(why) => StoreError::Unknown(why.into()),
        known @ (StoreError::Unknown(_)
        | StoreError::WriteFailed(_)
        | StoreError::Displaced(_)
        | StoreError::Corrupt(_)) => known,
    }
}

/// An error of the first connection: here somebody waits who can mend what the URL says.
pub(super) fn open_error(error: Error, url: &ServerUrl) -> StoreError {
    if let Some(advice) = tls::advice(&error) {
        return StoreError::Rejected(advice);
    }
    let ServerUrl { user, host, port, name, .. } = url;
    match code(&error) {
        Some("28P01" | "28000") => StoreError::Rejected(format!(
            "the server refuses this user or password ({}); check both in DATABASE_URL",
            words(&error)
        )),
        Some("3D000") => StoreError::Rejected(format!(
            "the server has no database `{name}`; create it (`createdb -h {host} -p {port} -U {user} {name}`), or set \
             DATABASE_URL"
        )),
        Some(_) | None => read_error(error),
    }
}

/// An error while the schema is changed: only somebody with more rights can mend it that `user` has too few.
pub(super) fn migrate_error(error: Error, user: &str) -> StoreError {
    match code(&error) {
        Some(DENIED) => StoreError::Rejected(format!(
            "the user `{user}` may not make tables ({}); as the database's owner run `GRANT CREATE, USAGE ON SCHEMA public TO \
             {user}` in it, or make that user the owner: `ALTER DATABASE … OWNER TO {user}`",
            words(&error)
        )),
        Some(_) | None => read_error(error),
    }
}

/// Whether the server refused a row for a key that is there already.
pub(super) fn is_key_taken(error: &Error) -> bool {
    code(error) == Some("23505")
}

/// Whether two transactions were in each other's way, so that one of them was undone and has to be done again.
pub(super) fn is_collision(error: &Error) -> bool {
    matches!(code(error), Some("40001" | "40P01"))
}

/// No answer came in time.
pub(super) fn late() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "it didn't answer in time"))
}

/// A prepared statement of this name is there already, or isn't there: two clients share a session.
const STATEMENT_THERE: &str = "42P05";
const STATEMENT_GONE: &str = "26000";

/// The user may not do this: somebody can grant it at any time.
const DENIED: &str = "42501";

/// The server's code for the error, if it is the server's: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn code(error: &Error) -> Option<&str> {
    of_server(error).map(PgDatabaseError::code)
}

/// The error as the server says it.
fn words(error: &Error) -> String {
    of_server(error).map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn of_server(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}
