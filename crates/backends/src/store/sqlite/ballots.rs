//! Ballots as they are stored.

use rusqlite::{Connection, params};
use throng_domain::ballot::{Ballot, BallotId, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{BallotPage, Cursor};

use super::polls::word;
use crate::store::pages::page;

/// A page of ballots, in the order of their keys.
pub(super) fn stored(
    reader: &Connection,
    poll: PollId,
    after: Option<Cursor>,
    limit: usize,
) -> rusqlite::Result<BallotPage> {
    let ballots = reader
        .prepare_cached(
            "SELECT key, coalesce(ballot_id, key), choices, accepted_at, coalesce(policy, 'unlimited') FROM ballot \
             WHERE poll_id = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3",
        )?
        .query_map(params![poll.0, after.map(|after| after.last), limit], |row| {
            Ok(Ballot {
                poll,
                key: BallotKey(row.get(0)?),
                id: id_from(row.get(1)?),
                choices: word(row, 2)?,
                accepted_at: Timestamp(row.get(3)?),
                policy: word(row, 4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(page(ballots, limit))
}

/// A ballot's id, from the bytes that are stored.
pub(super) fn id_from(bytes: [u8; 16]) -> BallotId {
    BallotId(uuid::Uuid::from_bytes(bytes))
}
