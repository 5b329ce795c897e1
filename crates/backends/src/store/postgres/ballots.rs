//! Ballots as they are stored.

use std::ops::RangeInclusive;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::ballot::{Ballot, BallotId, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{BallotPage, CastBallot, Cursor};

use super::columns::word;
use crate::store::pages::page;

/// A page of ballots, in the order of their keys.
pub(super) async fn stored(
    reader: &mut PgConnection,
    poll: PollId,
    after: Option<Cursor>,
    limit: usize,
) -> sqlx::Result<BallotPage> {
    // Every key comes after an empty one.
    let after = after.as_ref().map_or(&[][..], |after| &after.last);
    let rows = sqlx::query(
        "SELECT key, coalesce(ballot_id, key), choices, accepted_at, coalesce(policy, 'unlimited') FROM ballot \
         WHERE poll_id = $1 AND key > $2 ORDER BY key LIMIT $3",
    )
    .bind(poll.0)
    .bind(after)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(reader)
    .await?;
    let ballot = |row: &PgRow| {
        Ok(Ballot {
            poll,
            key: BallotKey(bytes(row, 0)?),
            id: id(row, 1)?,
            choices: word(row, 2)?,
            accepted_at: Timestamp(row.try_get(3)?),
            policy: word(row, 4)?,
        })
    };
    Ok(page(rows.iter().map(ballot).collect::<sqlx::Result<_>>()?, limit))
}

/// The ballots with these keys.
pub(super) async fn cast(
    reader: &mut PgConnection,
    poll: PollId,
    keys: RangeInclusive<BallotKey>,
) -> sqlx::Result<Vec<CastBallot>> {
    let sql = "SELECT key, coalesce(ballot_id, key), choices, accepted_at FROM ballot \
               WHERE poll_id = $1 AND key BETWEEN $2 AND $3";
    let (first, last) = keys.into_inner();
    let rows = sqlx::query(sql).bind(poll.0).bind(&first.0[..]).bind(&last.0[..]).fetch_all(reader).await?;
    rows.iter().map(|row| cast_from(row, BallotKey(bytes(row, 0)?).slot())).collect()
}

/// A ballot from a row of its key, id, choices and time.
pub(super) fn cast_from(row: &PgRow, slot: u8) -> sqlx::Result<CastBallot> {
    Ok(CastBallot { slot, id: id(row, 1)?, choices: word(row, 2)?, accepted_at: Timestamp(row.try_get(3)?) })
}

/// A column that holds a ballot's id.
fn id(row: &PgRow, column: usize) -> sqlx::Result<BallotId> {
    Ok(BallotId(uuid::Uuid::from_bytes(bytes(row, column)?)))
}

/// A column that holds 16 bytes.
pub(super) fn bytes(row: &PgRow, column: usize) -> sqlx::Result<[u8; 16]> {
    row.try_get(column)
}
