//! A poll's lock.

use sqlx::postgres::PgConnection;
use throng_domain::poll::PollId;

/// The first of our lock numbers (`throng` and two zero bytes); a poll's own is in the lower bits.
///
/// Transactions that record share the poll's lock; one that changes the poll holds it exclusively. So a window is never
/// changed while ballots are recorded by it. The server grants these locks in the order of the requests; with a lock on
/// the poll's row, many recording transactions could starve the one that wants to close.
pub(super) const LOCKS: i64 = 0x7468_726f_6e67_0000;

pub(super) async fn lock_exclusively(writer: &mut PgConnection, poll: PollId) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_of(poll)).execute(writer).await?;
    Ok(())
}

pub(super) fn lock_of(poll: PollId) -> i64 {
    LOCKS ^ poll.0
}
