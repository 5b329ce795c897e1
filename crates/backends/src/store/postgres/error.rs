//! What an error of PostgreSQL, or of the connection to it, means to the caller.

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;
use throng_domain::store::StoreError;

use super::super::{ServerUrl, tls};

pub(super) type StoreResult<T> = Result<T, StoreError>;

/// An error of a transaction that wasn't committed: its changes are undone, by the server too once it notices that the
/// connection is closed.
pub(super) fn read_error(error: Error) -> StoreError {
    match (&error, code(&error).unwrap_or_default()) {
        (Error::ColumnDecode { .. } | Error::Decode(_), _) | (_, "XX001" | "XX002") => {
            StoreError::Corrupt(error.into())
        }
        (_, "42P01" | "42703" | "3F000") => StoreError::Rejected(format!(
            "the schema isn't up to date ({}); run `throng schema migrate`",
            message(&error)
        )),
        (_, STATEMENT_EXISTS | STATEMENT_MISSING) => StoreError::Unavailable(
            format!(
                "a pooler in front of PostgreSQL doesn't track prepared statements ({}); set max_prepared_statements = 200 \
                 in PgBouncer (1.21 or later), or pool_mode = session",
                message(&error)
            )
            .into(),
        ),
        // Repeating the call doesn't help against these; all else may be temporary: no disk space, too many clients, a
        // restart, a standby.
        (_, code) if ["22", "23", "42"].iter().any(|class| code.starts_with(class)) && code != DENIED => {
            StoreError::Rejected(message(&error))
        }
        _ => StoreError::Unavailable(error.into()),
    }
}

/// An error after the commit was sent: it may have happened. Damage is reported as damage.
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

/// An error of the first connection: here an operator can correct the URL.
pub(super) fn open_error(error: Error, url: &ServerUrl) -> StoreError {
    if let Some(advice) = tls::advice(&error) {
        return StoreError::Rejected(advice);
    }
    let ServerUrl { user, host, port, name, .. } = url;
    match code(&error) {
        Some("28P01" | "28000") => StoreError::Rejected(format!(
            "the server rejects this user or password ({}); check both in DATABASE_URL",
            message(&error)
        )),
        Some("3D000") => StoreError::Rejected(format!(
            "the server has no database `{name}`; create it (`createdb -h {host} -p {port} -U {user} {name}`), or set \
             DATABASE_URL"
        )),
        Some(_) | None => read_error(error),
    }
}

/// An error while the schema is changed: if `user` lacks privileges, only a user with more can grant them.
pub(super) fn migrate_error(error: Error, user: &str) -> StoreError {
    match code(&error) {
        Some(DENIED) => StoreError::Rejected(format!(
            "the user `{user}` may not make tables ({}); as the database's owner run `GRANT CREATE, USAGE ON SCHEMA public TO \
             {user}` in it, or make that user the owner: `ALTER DATABASE … OWNER TO {user}`",
            message(&error)
        )),
        Some(_) | None => read_error(error),
    }
}

/// Whether the server rejected a row because its key exists already.
pub(super) fn is_key_taken(error: &Error) -> bool {
    code(error) == Some("23505")
}

/// Whether two transactions conflicted, so that one of them was rolled back and has to be repeated.
pub(super) fn is_collision(error: &Error) -> bool {
    matches!(code(error), Some("40001" | "40P01"))
}

/// A prepared statement of this name exists already, or doesn't exist: two clients share a session.
const STATEMENT_EXISTS: &str = "42P05";
const STATEMENT_MISSING: &str = "26000";

/// The user lacks a privilege, which can be granted at any time.
const DENIED: &str = "42501";

/// The server's code for the error, if it is the server's: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn code(error: &Error) -> Option<&str> {
    of_server(error).map(PgDatabaseError::code)
}

/// The message of the error, as the server reports it.
fn message(error: &Error) -> String {
    of_server(error).map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn of_server(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}
