//! Ballots as they are stored.

use std::ops::RangeInclusive;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{BallotPage, CastBallot, Cursor};

use super::columns::word;
use super::error::corrupt;
use crate::store::pages::page;

/// A page of ballots, in the order of their keys.
pub(super) async fn stored(
    reader: &mut MySqlConnection,
    poll: PollId,
    after: Option<Cursor>,
    limit: usize,
) -> sqlx::Result<BallotPage> {
    let (relation, key) = after.map_or((">=", [0; 16]), |after| (">", after.last));
    let sql = format!(
        "SELECT `key`, coalesce(ballot_id, `key`), choices, accepted_at, coalesce(policy, 'unlimited') FROM ballot \
         WHERE poll_id = ? AND `key` {relation} ? ORDER BY `key` LIMIT ?"
    );
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query(&sql).bind(poll.0).bind(&key[..]).bind(most).fetch_all(reader).await?;
    let ballots = rows.iter().map(|row| {
        Ok(Ballot {
            poll,
            key: BallotKey(bytes(row, 0)?),
            id: id(row, 1)?,
            choices: word::<Choices>(row, 2)?,
            accepted_at: Timestamp(row.try_get(3)?),
            policy: word(row, 4)?,
        })
    });
    Ok(page(ballots.collect::<sqlx::Result<_>>()?, limit))
}

/// The ballots with these keys.
pub(super) async fn cast(
    reader: &mut MySqlConnection,
    poll: PollId,
    keys: RangeInclusive<BallotKey>,
) -> sqlx::Result<Vec<CastBallot>> {
    let sql = "SELECT `key`, coalesce(ballot_id, `key`), choices, accepted_at FROM ballot \
               WHERE poll_id = ? AND `key` BETWEEN ? AND ?";
    let (first, last) = keys.into_inner();
    let rows = sqlx::query(sql).bind(poll.0).bind(&first.0[..]).bind(&last.0[..]).fetch_all(reader).await?;
    rows.iter().map(|row| cast_from(row, BallotKey(bytes(row, 0)?).slot())).collect()
}

/// A ballot from a row of its key, id, choices and time.
pub(super) fn cast_from(row: &MySqlRow, slot: u8) -> sqlx::Result<CastBallot> {
    Ok(CastBallot { slot, id: id(row, 1)?, choices: word(row, 2)?, accepted_at: Timestamp(row.try_get(3)?) })
}

/// A column that holds 16 bytes.
pub(super) fn bytes(row: &MySqlRow, column: usize) -> sqlx::Result<[u8; 16]> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(corrupt)
}

/// A column that holds a ballot's id.
fn id(row: &MySqlRow, column: usize) -> sqlx::Result<BallotId> {
    bytes(row, column).map(|bytes| BallotId(uuid::Uuid::from_bytes(bytes)))
}
