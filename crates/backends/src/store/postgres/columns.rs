//! Values in columns and statements.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::clock::Timestamp;
use throng_domain::counting::Counting;
use throng_domain::imported;
use throng_domain::origins::AllowedOrigins;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::void::{self, Void};

/// The time by the server's clock, in milliseconds.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The time by the server's clock.
pub(super) async fn now(reader: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar(&format!("SELECT {NOW}")).fetch_one(reader).await.map(Timestamp)
}

pub(super) fn timestamp(stored: Option<i64>) -> Option<Timestamp> {
    stored.map(Timestamp)
}

pub(super) fn option_id(stored: i32) -> sqlx::Result<OptionId> {
    unsigned(stored).map(OptionId)
}

/// A column that holds a non-negative number.
pub(super) fn unsigned<T, U>(stored: T) -> sqlx::Result<U>
where
    U: TryFrom<T, Error: std::error::Error + Send + Sync + 'static>,
{
    U::try_from(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds a poll's rules that void ballots.
pub(super) fn stored_voids(row: &PgRow, column: usize) -> sqlx::Result<Vec<Void>> {
    void::from_stored(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds the counts that a poll has taken over.
pub(super) fn stored_imported(row: &PgRow, column: usize) -> sqlx::Result<Vec<(OptionId, u64)>> {
    imported::from_stored(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds how a poll's rankings or scores are counted.
pub(super) fn stored_counting(row: &PgRow, column: usize) -> sqlx::Result<Counting> {
    Counting::from_stored(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds the origins whose pages may vote.
pub(super) fn stored_origins(row: &PgRow, column: usize) -> sqlx::Result<AllowedOrigins> {
    AllowedOrigins::from_stored(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column that holds one of a field's values.
pub(super) fn word<T>(row: &PgRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let stored: &str = row.try_get(column)?;
    stored
        .parse()
        .map_err(|error: T::Err| sqlx::Error::ColumnDecode { index: column.to_string(), source: error.into() })
}

/// The polls' ids as a list in SQL.
pub(super) struct Numbers<'a>(pub(super) &'a [PollId]);

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, poll) in self.0.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{}", poll.0)?;
        }
        Ok(())
    }
}
