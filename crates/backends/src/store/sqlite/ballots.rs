//! Ballots as they are stored.

use rusqlite::{Connection, Row, params};
use throng_domain::ballot::{Ballot, BallotId, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{BallotPage, CastBallot, Cursor};

use super::columns::word;

/// The first part of a poll's ballots: those in the table `ballot`, in the order of their keys.
const UNLIMITED: u8 = 0;

/// The second one: those in the table `voter_ballot`, in the order of their numbers.
const OF_VOTERS: u8 = 1;

/// A page of ballots: nearly always, a poll has only one of the parts.
pub(super) fn stored(
    reader: &Connection,
    poll: PollId,
    after: Option<Cursor>,
    limit: usize,
) -> rusqlite::Result<BallotPage> {
    let mut ballots = Vec::new();
    let mut number = 0;
    match after {
        Some(Cursor { part: OF_VOTERS, last }) => number = u128::from_be_bytes(last) as u64,
        Some(_) | None => ballots = unlimited(reader, poll, after, limit)?,
    }
    if let Some(last) = ballots.last().filter(|_| ballots.len() == limit) {
        let next = Some(Cursor { part: UNLIMITED, last: last.key.0 });
        return Ok(BallotPage { ballots, next });
    }
    for stored in of_voters(reader, poll, number, limit - ballots.len())? {
        ballots.push(stored.1);
        number = stored.0;
    }
    let next = Cursor { part: OF_VOTERS, last: u128::from(number).to_be_bytes() };
    Ok(BallotPage { next: (ballots.len() == limit).then_some(next), ballots })
}

fn unlimited(reader: &Connection, poll: PollId, after: Option<Cursor>, limit: usize) -> rusqlite::Result<Vec<Ballot>> {
    // Every key comes after an empty one. A condition that may be left out would be checked for each ballot from the first one on.
    let after = after.map_or_else(Vec::new, |after| after.last.to_vec());
    reader
        .prepare_cached(
            "SELECT key, coalesce(ballot_id, key), choices, accepted_at, 'unlimited' FROM ballot \
             WHERE poll_id = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
        )?
        .query_map(params![poll.0, after, limit], |row| ballot_from(row, poll))?
        .collect()
}

/// The ballots after the row with this number, each with its own.
fn of_voters(reader: &Connection, poll: PollId, after: u64, limit: usize) -> rusqlite::Result<Vec<(u64, Ballot)>> {
    reader
        .prepare_cached(
            "SELECT key, ballot_id, choices, accepted_at, policy, number FROM voter_ballot \
             WHERE poll_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )?
        .query_map(params![poll.0, after, limit], |row| Ok((row.get(5)?, ballot_from(row, poll)?)))?
        .collect()
}

fn ballot_from(row: &Row<'_>, poll: PollId) -> rusqlite::Result<Ballot> {
    Ok(Ballot {
        poll,
        key: BallotKey(row.get(0)?),
        id: id_from(row.get(1)?),
        choices: word(row, 2)?,
        accepted_at: Timestamp(row.get(3)?),
        policy: word(row, 4)?,
    })
}

/// What is stored under the key, in a poll where everyone may vote any number of times.
pub(super) fn cast(reader: &Connection, poll: PollId, key: BallotKey) -> rusqlite::Result<Vec<CastBallot>> {
    reader
        .prepare_cached(
            "SELECT coalesce(ballot_id, key), choices, accepted_at FROM ballot WHERE poll_id = ?1 AND key = ?2",
        )?
        .query_map(params![poll.0, key.0], |row| cast_from(row, 0))?
        .collect()
}

/// A ballot from a row of its id, choices and time.
pub(super) fn cast_from(row: &Row<'_>, slot: u8) -> rusqlite::Result<CastBallot> {
    Ok(CastBallot { slot, id: id_from(row.get(0)?), choices: word(row, 1)?, accepted_at: Timestamp(row.get(2)?) })
}

/// A ballot's id, from the bytes that are stored.
pub(super) fn id_from(bytes: [u8; 16]) -> BallotId {
    BallotId(uuid::Uuid::from_bytes(bytes))
}
