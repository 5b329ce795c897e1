//! Values in columns, and what several queries read.

use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use throng_domain::clock::Timestamp;
use throng_domain::counting::Counting;
use throng_domain::imported;
use throng_domain::origins::AllowedOrigins;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::void::{self, Void};

/// The time by this machine's clock.
pub(super) fn now(reader: &Connection) -> rusqlite::Result<Timestamp> {
    let now = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    reader.query_row(now, [], |row| row.get(0).map(Timestamp))
}

pub(super) fn timestamp(stored: Option<i64>) -> Option<Timestamp> {
    stored.map(Timestamp)
}

/// The ids of a poll's options, ascending; empty if there is no such poll.
pub(super) fn option_ids(reader: &Connection, poll: PollId) -> rusqlite::Result<Vec<OptionId>> {
    reader
        .prepare_cached("SELECT id FROM option WHERE poll_id = ?1 ORDER BY id")?
        .query_map([poll.0], |row| row.get(0).map(OptionId))?
        .collect()
}

/// A column that holds a poll's rules that void ballots.
pub(super) fn stored_voids(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Void>> {
    let stored: Option<String> = row.get(column)?;
    void::from_stored(stored.as_deref())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A column that holds the counts that a poll has taken over.
pub(super) fn stored_imported(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<(OptionId, u64)>> {
    let stored: Option<String> = row.get(column)?;
    imported::from_stored(stored.as_deref())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A column that holds how a poll's rankings or scores are counted.
pub(super) fn stored_counting(row: &Row<'_>, column: usize) -> rusqlite::Result<Counting> {
    let stored: Option<String> = row.get(column)?;
    Counting::from_stored(stored.as_deref())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A column that holds the origins whose pages may vote.
pub(super) fn stored_origins(row: &Row<'_>, column: usize) -> rusqlite::Result<AllowedOrigins> {
    let stored: Option<String> = row.get(column)?;
    AllowedOrigins::from_stored(stored.as_deref())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let stored = row.get_ref(column)?.as_str()?;
    stored
        .parse()
        .map_err(|error: T::Err| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
