//! Recording ballots. Ballots are counted nowhere else.

use std::fmt::Write as _;

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{Outcome, Recorded, StoreError, Window};
use throng_domain::tally::TallyChange;

use super::ballots::id_from;
use super::error::{StoreResult, read_error, write_error};
use super::{polls, tallies};

/// Inserts the ballots that aren't stored yet and adds only those to the tallies, in one transaction.
///
/// Each ballot is an insert of its own, so SQLite reports for each whether its key was free: no counting of affected
/// rows, and no second code path for batches with a duplicate.
pub(super) fn record(writer: &mut Connection, ballots: &[Ballot]) -> StoreResult<Recorded> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin_error)?;
    let recorded = insert_and_count(&transaction, ballots).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(recorded)
}

/// Before the first write nothing can have happened, whatever failed; but damage is reported as damage.
fn begin_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => StoreError::WriteFailed(error.into()),
        _ => read_error(error),
    }
}

fn insert_and_count(writer: &Connection, ballots: &[Ballot]) -> rusqlite::Result<Recorded> {
    let mut recorded = Recorded { outcomes: vec![Outcome::TooEarly; ballots.len()], tallies: Vec::new() };
    let mut columns = Columns::default();
    let mut insert = writer.prepare_cached(
        "INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (poll, positions) in by_poll_and_key(ballots) {
        let window = polls::window(writer, poll)?;
        let mut change = TallyChange::none(poll);
        for position in positions {
            let ballot = &ballots[position];
            let outcome = match refusal(window, ballot.accepted_at) {
                // Sent again after the close, a ballot keeps its earlier outcome.
                Some(refused) => stored_outcome(writer, ballot)?.unwrap_or(refused),
                None => columns.insert(writer, &mut insert, ballot)?,
            };
            if outcome == Outcome::Counted {
                change.add(&ballot.choices);
            }
            recorded.outcomes[position] = outcome;
        }
        if change.voters > 0 {
            tallies::add(writer, &change)?;
        }
        recorded.tallies.extend(tallies::within(writer, poll)?);
    }
    Ok(recorded)
}

/// The batch's polls, each with the positions of its ballots in the order of their keys: neighbours in the batch become
/// neighbours in the index. Of two ballots with one key the first given stays first.
fn by_poll_and_key(ballots: &[Ballot]) -> Vec<(PollId, Vec<usize>)> {
    let mut polls: Vec<(PollId, Vec<usize>)> = Vec::new();
    for (position, ballot) in ballots.iter().enumerate() {
        match polls.iter_mut().find(|(poll, _)| *poll == ballot.poll) {
            Some((_, positions)) => positions.push(position),
            None => polls.push((ballot.poll, vec![position])),
        }
    }
    for (_, positions) in &mut polls {
        positions.sort_by_key(|position| ballots[*position].key);
    }
    polls
}

fn refusal(window: Option<Window>, accepted_at: Timestamp) -> Option<Outcome> {
    match window {
        Some(Window { closes_at: Some(closes_at), .. }) if accepted_at >= closes_at => Some(Outcome::TooLate),
        Some(Window { opens_at: Some(opens_at), .. }) if accepted_at >= opens_at => None,
        Some(_) | None => Some(Outcome::TooEarly),
    }
}

/// The text of a ballot's choices, in a buffer that is reused.
#[derive(Default)]
struct Columns {
    choices: String,
}

impl Columns {
    fn insert(
        &mut self,
        writer: &Connection,
        insert: &mut CachedStatement<'_>,
        ballot: &Ballot,
    ) -> rusqlite::Result<Outcome> {
        self.choices.clear();
        write!(self.choices, "{}", ballot.choices).expect("writing to a String can't fail");
        let Ballot { poll, key, id, accepted_at, .. } = ballot;
        let own_id = (key.0 != *id.0.as_bytes()).then_some(id.0.as_bytes());
        let inserted = insert.execute(params![poll.0, key.0, own_id, self.choices, accepted_at.0]);
        match inserted {
            Ok(_) => Ok(Outcome::Counted),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                stored_outcome(writer, ballot)?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

/// The outcome of a ballot whose key is in use: by the same ballot, or another. `None` if its key is free.
fn stored_outcome(reader: &Connection, ballot: &Ballot) -> rusqlite::Result<Option<Outcome>> {
    let holder = holder(reader, ballot.poll, ballot.key)?;
    Ok(holder.map(|(id, choices)| {
        if id == ballot.id && choices == ballot.choices {
            Outcome::CountedBefore
        } else {
            Outcome::KeyTaken { id, choices }
        }
    }))
}

/// The id and the choices of the ballot that holds this key.
fn holder(reader: &Connection, poll: PollId, key: BallotKey) -> rusqlite::Result<Option<(BallotId, Choices)>> {
    reader
        .prepare_cached("SELECT coalesce(ballot_id, key), choices FROM ballot WHERE poll_id = ?1 AND key = ?2")?
        .query_row(params![poll.0, key.0], |row| Ok((id_from(row.get(0)?), polls::word(row, 1)?)))
        .optional()
}
