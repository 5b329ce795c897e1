//! The settings of each transaction, whatever those of the session, and which of the server's settings could lose a commit.
//!
//! Nothing is set for a session: behind a pooler such as PgBouncer a session is shared, so settings made by other
//! clients may affect this one, and settings made here would affect theirs. `SET LOCAL` ends with the transaction, and
//! is sent together with `BEGIN`, so it costs no round trip.

use sqlx::PgConnection;

/// Begins a transaction that reads and writes.
///
/// Each statement sees what was committed before it, whatever the database's default.
///
/// The server's own timeouts free what a caller has left behind that disconnected or gave up. They are longer than any
/// deadline here: a server that aborts a commit's wait for a standby reports the commit as done.
///
/// A commit that is acknowledged before it is on the disk is never wanted, so `synchronous_commit` is not left off.
/// `local` and `remote_write` put it on this server's disk and leave out the standbys: that is the operator's choice.
pub(super) const BEGIN: &str = "\
    BEGIN ISOLATION LEVEL READ COMMITTED;\
    SET LOCAL statement_timeout = '20s';\
    SET LOCAL lock_timeout = '4s';\
    SET LOCAL idle_in_transaction_session_timeout = '10s';\
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// Begins a transaction that reads one snapshot, however many statements it takes.
pub(super) const BEGIN_SNAPSHOT: &str = "\
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\
    SET LOCAL statement_timeout = '20s';\
    SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// The server's settings with which an acknowledged commit could be lost, one message each.
///
/// Read as they are at the start of a session: as set by the configuration, the database and the user. What is set in a
/// session doesn't matter, see [`BEGIN`].
pub(super) async fn unsafe_settings(reader: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let off: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM pg_settings WHERE reset_val = 'off' \
         AND name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name",
    )
    .fetch_all(reader)
    .await?;
    Ok(off.into_iter().map(|(name,)| message(&name)).collect())
}

fn message(name: &str) -> String {
    let (harm, more) = match name {
        "fsync" => ("no write is guaranteed to reach the disk", ""),
        "full_page_writes" => ("a page that was half written when power failed can't be recovered", ""),
        _ => (
            "a commit is acknowledged before it is on the disk",
            ", and reset it where ALTER DATABASE or ALTER ROLE turned it off",
        ),
    };
    format!("PostgreSQL's {name} is off: {harm}; set {name} = on in postgresql.conf{more}")
}
