//! What holds in each transaction, whatever the session is set to, and which of the server's settings could lose a commit.
//!
//! Nothing is set for a session: behind a pooler such as PgBouncer a session is shared, so what others have set there may
//! reach us, and what is set here would reach them. `SET LOCAL` ends with the transaction, and goes out together with
//! `BEGIN`, so it costs no round trip.

use sqlx::PgConnection;

/// Begins a transaction that reads and writes.
///
/// Each statement is to see what was committed before it, whatever the database's default.
///
/// The server's own time limits free what a caller has left behind who is gone or gave up. They are longer than any
/// deadline here: a server that cuts a commit short while it waits for a standby answers that it is done.
///
/// A commit that is answered before it is on the disk is never what we want, so `synchronous_commit` is not left off.
/// `local` and `remote_write` put it on this server's disk and leave out the standbys: that is for the operator to say.
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

/// The server's settings with which a commit that was answered could be lost, in words.
///
/// Asked for as a session begins with them: as the configuration, the database and the user have them. What is set in a
/// session doesn't matter, see [`BEGIN`].
pub(super) async fn unsafe_ones(reader: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let off: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM pg_settings WHERE reset_val = 'off' \
         AND name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name",
    )
    .fetch_all(reader)
    .await?;
    Ok(off.into_iter().map(|(name,)| words(&name)).collect())
}

fn words(name: &str) -> String {
    let (harm, more) = match name {
        "fsync" => ("nothing is sure to be on the disk", ""),
        "full_page_writes" => ("a page that was half written when the power went can't be recovered", ""),
        _ => (
            "a commit is answered before it is on the disk",
            ", and reset it where ALTER DATABASE or ALTER ROLE turned it off",
        ),
    };
    format!("PostgreSQL's {name} is off: {harm}; set {name} = on in postgresql.conf{more}")
}
