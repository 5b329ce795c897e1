//! What a session is told, and which of the server's settings could lose a commit.

use sqlx::PgConnection;

/// Said once over every connection.
///
/// In a transaction each statement is to see what was committed before it, whatever the database's default.
///
/// The server's own time limits free what a caller has left behind who is gone or gave up. They are longer than any
/// deadline here: a server that cuts a commit short while it waits for a standby answers that it is done.
///
/// A commit that is answered before it is on the disk is never what we want, so `synchronous_commit` is not left off.
/// `local` and `remote_write` put it on this server's disk and leave out the standbys: that is for the operator to say.
pub(super) const SESSION: &str = "\
    SET default_transaction_isolation = 'read committed';\
    SET statement_timeout = '20s';\
    SET lock_timeout = '4s';\
    SET idle_in_transaction_session_timeout = '10s';\
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The server's settings with which a commit that was answered could be lost, in words.
///
/// Asked for as they were before [`SESSION`]: as the configuration, the database and the user have them.
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
