//! The votes of the PHP system, in MySQL or MariaDB.

use sqlx::Row as _;
use sqlx::mysql::MySqlConnection;

use super::columns::text;
use super::connection::Connections;
use super::error::{StoreResult, before_commit, open_error};
use crate::store::ServerUrl;
use crate::store::php_table::{PhpVotes, READ_MAX, count, query};
use crate::store::pool::within;

/// The votes in the table `poll_entry`.
///
/// # Errors
/// [`StoreError::Rejected`](throng_domain::store::StoreError::Rejected) if there is no such table, or it isn't that of the PHP system.
pub async fn php_votes(url: &ServerUrl) -> StoreResult<PhpVotes> {
    let connections = Connections::new(url);
    let mut reader = connections.take().await.map_err(open_error)?;
    let columns = names(&mut reader).await.map_err(before_commit)?;
    let sql = query(&columns, "`count`")?.replace("{bigint}", "SIGNED");
    let rows = within(READ_MAX, votes(&mut reader, &sql)).await.flatten().map_err(before_commit)?;
    rows.into_iter().map(|(label, votes)| Ok((label, count(votes)?))).collect()
}

async fn names(reader: &mut MySqlConnection) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT column_name FROM information_schema.columns \
               WHERE table_schema = DATABASE() AND table_name = 'poll_entry' ORDER BY ordinal_position";
    sqlx::query(sql).fetch_all(reader).await?.iter().map(|row| Ok(text(row, 0)?.to_owned())).collect()
}

async fn votes(reader: &mut MySqlConnection, sql: &str) -> sqlx::Result<Vec<(Option<i64>, Option<i64>)>> {
    // Its columns may have any type of whole numbers.
    let sql = sql.replacen("SELECT label,", "SELECT CAST(label AS SIGNED) AS number,", 1);
    sqlx::query(&sql).fetch_all(reader).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
