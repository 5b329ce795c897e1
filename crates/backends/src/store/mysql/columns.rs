//! Values in columns and statements.

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::clock::Timestamp;
use throng_domain::counting::Counting;
use throng_domain::imported;
use throng_domain::origins::AllowedOrigins;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::void::{self, Void};

use super::error::corrupt;

/// The time by the server's clock, in milliseconds, when the statement processes the row.
pub(super) const NOW: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)";

/// The time by the server's clock.
pub(super) async fn now(reader: &mut MySqlConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar(&format!("SELECT {NOW}")).fetch_one(reader).await.map(Timestamp)
}

pub(super) fn timestamp(row: &MySqlRow, column: usize) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}

/// A column that holds a non-negative number.
pub(super) fn natural<T>(row: &MySqlRow, column: impl sqlx::ColumnIndex<MySqlRow>) -> sqlx::Result<T>
where
    T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<i64, _>(column)?.try_into().map_err(corrupt)
}

/// A column that holds text, which may be compared by its bytes: the library treats such a column as binary.
pub(super) fn text(row: &MySqlRow, column: impl sqlx::ColumnIndex<MySqlRow>) -> sqlx::Result<&str> {
    row.try_get_unchecked(column)
}

/// A column that holds a poll's rules that void ballots.
pub(super) fn stored_voids(row: &MySqlRow, column: usize) -> sqlx::Result<Vec<Void>> {
    let stored: Option<&str> = row.try_get_unchecked(column)?;
    void::from_stored(stored).map_err(corrupt)
}

/// A column that holds the counts that a poll has taken over.
pub(super) fn stored_imported(row: &MySqlRow, column: usize) -> sqlx::Result<Vec<(OptionId, u64)>> {
    let stored: Option<&str> = row.try_get_unchecked(column)?;
    imported::from_stored(stored).map_err(corrupt)
}

/// A column that holds how a poll's rankings or scores are counted.
pub(super) fn stored_counting(row: &MySqlRow, column: usize) -> sqlx::Result<Counting> {
    let stored: Option<&str> = row.try_get_unchecked(column)?;
    Counting::from_stored(stored).map_err(corrupt)
}

/// A column that holds the origins whose pages may vote.
pub(super) fn stored_origins(row: &MySqlRow, column: usize) -> sqlx::Result<AllowedOrigins> {
    let stored: Option<&str> = row.try_get_unchecked(column)?;
    AllowedOrigins::from_stored(stored).map_err(corrupt)
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &MySqlRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(row, column)?.parse().map_err(corrupt)
}

/// The polls' ids, as a list for `IN`.
pub(super) fn list(polls: &[PollId]) -> String {
    let numbers: Vec<_> = polls.iter().map(|poll| poll.0.to_string()).collect();
    numbers.join(",")
}
