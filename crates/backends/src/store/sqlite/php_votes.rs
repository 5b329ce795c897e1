//! The votes of the PHP system, in an SQLite file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use throng_domain::store::StoreError;

use super::error::{StoreResult, read_error};
use super::open::WRITE_WAIT_MAX;
use crate::store::php_table::{PhpVotes, count, query};

/// The votes in the table `poll_entry`.
///
/// # Errors
/// [`StoreError::Rejected`](throng_domain::store::StoreError::Rejected) if there is no such table, or it isn't that of the PHP system.
pub fn php_votes(path: &Path) -> StoreResult<PhpVotes> {
    if !path.exists() {
        return Err(StoreError::Rejected(format!("there is no file {}", path.display())));
    }
    let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(read_error)?;
    reader.busy_timeout(WRITE_WAIT_MAX).map_err(read_error)?;
    let columns = names(&reader).map_err(read_error)?;
    let sql = query(&columns, "\"count\"")?.replace("{bigint}", "INTEGER");
    // A column of SQLite may hold text, whatever its type.
    let sql = sql.replacen("SELECT label,", "SELECT CAST(label AS INTEGER) AS label,", 1);
    let rows = votes(&reader, &sql).map_err(read_error)?;
    rows.into_iter().map(|(label, votes)| Ok((label, count(votes)?))).collect()
}

fn names(reader: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut columns = reader.prepare("SELECT name FROM pragma_table_info('poll_entry')")?;
    columns.query_map([], |row| row.get(0))?.collect()
}

fn votes(reader: &Connection, sql: &str) -> rusqlite::Result<Vec<(Option<i64>, Option<i64>)>> {
    reader.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
