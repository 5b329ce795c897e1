//! The votes of the PHP system, in PostgreSQL.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::connection::Connections;
use super::error::{StoreResult, open_error, read_error};
use crate::store::ServerUrl;
use crate::store::php_table::{PhpVotes, READ_MAX, count, query};
use crate::store::pool::within;

/// The votes in the table `poll_entry`.
///
/// # Errors
/// [`StoreError::Rejected`](throng_domain::store::StoreError::Rejected) if there is no such table, or it isn't that of the PHP system.
pub async fn php_votes(url: &ServerUrl) -> StoreResult<PhpVotes> {
    let connections = Connections::new(url);
    let mut reader = connections.take().await.map_err(|error| open_error(error, url))?;
    let columns = names(&mut reader).await.map_err(read_error)?;
    let sql = query(&columns, "\"count\"")?.replace("{bigint}", "bigint");
    let rows = within(READ_MAX, votes(&mut reader, &sql)).await.flatten().map_err(read_error)?;
    rows.into_iter().map(|(label, votes)| Ok((label, count(votes)?))).collect()
}

async fn names(reader: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT column_name::text FROM information_schema.columns \
               WHERE table_schema = ANY (current_schemas(false)) AND table_name = 'poll_entry' ORDER BY ordinal_position";
    sqlx::query(sql).fetch_all(reader).await?.iter().map(|row| row.try_get(0)).collect()
}

async fn votes(reader: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<(Option<i64>, Option<i64>)>> {
    // Its columns may have any type of whole numbers.
    let sql = sql.replacen("SELECT label,", "SELECT label::bigint,", 1);
    sqlx::query(&sql).fetch_all(reader).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
