//! The rows of voters' ballots.

use std::fmt::Write as _;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use throng_domain::ballot::{Ballot, BallotKey, VoterKey};
use throng_domain::poll::PollId;
use throng_domain::store::CastBallot;

use super::ballots::cast_from;
use super::voter_map::VoterMap;

/// For how long after a poll's result is final its voters are kept in memory, in milliseconds: a day. Until then, a ballot that was
/// counted and is sent again is recognized; after that it is too late, as any other.
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Whether a poll's result has been final for longer than that. Its parameter is [`KEPT_MS`].
const IS_OVER: &str = "coalesce(final_at < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1, FALSE)";

/// The number of the poll's last row; 0 if there is none.
pub(super) fn last(reader: &Connection, poll: PollId) -> rusqlite::Result<u64> {
    reader
        .prepare_cached("SELECT coalesce(max(number), 0) FROM voter_ballot WHERE poll_id = ?1")?
        .query_row([poll.0], |row| row.get(0))
}

/// Reads the keys and numbers of the rows after the one with this number, at most `limit`, in the order of their numbers.
pub(super) fn read_after(
    reader: &Connection,
    poll: PollId,
    number: u64,
    limit: usize,
    mut read: impl FnMut(BallotKey, u64),
) -> rusqlite::Result<()> {
    let mut rows = reader.prepare_cached(
        "SELECT key, number FROM voter_ballot WHERE poll_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    )?;
    let mut rows = rows.query(params![poll.0, number, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        read(BallotKey(row.get(0)?), row.get(1)?);
    }
    Ok(())
}

/// The ballot in the row with this number, if it has this key.
fn with_key(reader: &Connection, poll: PollId, number: u64, key: BallotKey) -> rusqlite::Result<Option<CastBallot>> {
    reader
        .prepare_cached(
            "SELECT ballot_id, choices, accepted_at, key FROM voter_ballot WHERE poll_id = ?1 AND number = ?2",
        )?
        .query_row(params![poll.0, number], |row| {
            let has_key = row.get::<_, [u8; 16]>(3)? == key.0;
            has_key.then(|| cast_from(row, key.slot())).transpose()
        })
}

/// A key, and the numbers of the rows that may have it.
pub(super) type Place = (BallotKey, Vec<u64>);

/// Where the ballots of a voter may be, by the map.
pub(super) fn places(map: &VoterMap, voter: VoterKey) -> Vec<Place> {
    let at = |slot| {
        let key = BallotKey::of_voter(voter, slot);
        (key, map.candidates(key).collect::<Vec<_>>())
    };
    (0..=u8::MAX).map(at).take_while(|(_, numbers)| !numbers.is_empty()).collect()
}

/// The ballots at these places: in the slots from 0 on, since a ballot takes the lowest free one.
pub(super) fn at_places(reader: &Connection, poll: PollId, places: &[Place]) -> rusqlite::Result<Vec<CastBallot>> {
    let stored = |(key, numbers): &Place| at_place(reader, poll, *key, numbers);
    places.iter().map_while(|place| stored(place).transpose()).collect()
}

fn at_place(
    reader: &Connection,
    poll: PollId,
    key: BallotKey,
    numbers: &[u64],
) -> rusqlite::Result<Option<CastBallot>> {
    for number in numbers {
        let stored = with_key(reader, poll, *number, key)?;
        if stored.is_some() {
            return Ok(stored);
        }
    }
    Ok(None)
}

/// Appends rows.
pub(super) struct Append<'a> {
    insert: CachedStatement<'a>,
    /// The text of a ballot's choices, in a buffer that is reused.
    choices: String,
}

impl<'a> Append<'a> {
    pub(super) fn new(writer: &'a Connection) -> rusqlite::Result<Self> {
        let insert = writer.prepare_cached(
            "INSERT INTO voter_ballot (poll_id, number, key, ballot_id, choices, accepted_at, policy) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        Ok(Self { insert, choices: String::new() })
    }

    pub(super) fn row(&mut self, number: u64, key: BallotKey, ballot: &Ballot) -> rusqlite::Result<()> {
        self.choices.clear();
        write!(self.choices, "{}", ballot.choices).expect("writing to a String can't fail");
        let Ballot { poll, id, accepted_at, policy, .. } = ballot;
        let (id, policy) = (id.0.as_bytes(), policy.as_str());
        self.insert.execute(params![poll.0, number, key.0, id, self.choices, accepted_at.0, policy])?;
        Ok(())
    }
}

/// The polls whose voters are needed.
pub(super) fn polls(reader: &Connection) -> rusqlite::Result<Vec<PollId>> {
    reader
        .prepare_cached(&format!("SELECT id FROM poll WHERE policy <> 'unlimited' AND NOT {IS_OVER}"))?
        .query_map([KEPT_MS], |row| row.get(0).map(PollId))?
        .collect()
}

/// Whether the poll's voters are no longer needed; so it is where there is no such poll.
pub(super) fn is_over(reader: &Connection, poll: PollId) -> rusqlite::Result<bool> {
    reader
        .prepare_cached(&format!("SELECT {IS_OVER} FROM poll WHERE id = ?2"))?
        .query_row([KEPT_MS, poll.0], |row| row.get(0))
        .optional()
        .map(|is_over| is_over.unwrap_or(true))
}
