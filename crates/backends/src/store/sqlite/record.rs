//! Recording ballots. Ballots are counted nowhere else.

use std::fmt::Write as _;

use rusqlite::{CachedStatement, Connection, ErrorCode, TransactionBehavior, params};
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::{CastBallot, Outcome, Recorded, Rules, StoreError};
use throng_domain::tally::TallyChange;

use super::ballots::id_from;
use super::error::{StoreResult, read_error, write_error};
use super::{polls, tallies};

/// Inserts the ballots that are to be counted and adds only those to the tallies, in one transaction.
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
    let mut rows = Rows::new(writer)?;
    for (poll, positions) in by_poll_and_key(ballots) {
        let Some(rules) = polls::rules(writer, poll)? else { continue };
        let mut change = TallyChange::none(poll);
        for position in positions {
            let ballot = &ballots[position];
            let outcome = rows.record(&rules, ballot)?;
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

/// The rows of ballots.
struct Rows<'a> {
    writer: &'a Connection,
    insert: CachedStatement<'a>,
    /// The text of a ballot's choices, in a buffer that is reused.
    choices: String,
}

impl<'a> Rows<'a> {
    fn new(writer: &'a Connection) -> rusqlite::Result<Self> {
        let insert = writer.prepare_cached(
            "INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at, policy) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        Ok(Self { writer, insert, choices: String::new() })
    }

    /// Inserts the ballot, unless its outcome is another one.
    fn record(&mut self, rules: &Rules, ballot: &Ballot) -> rusqlite::Result<Outcome> {
        if let Some(refusal) = rules.refusal(ballot.accepted_at) {
            // Sent again after the close, a ballot keeps its earlier outcome.
            return Ok(Outcome::of_repeated(ballot, &self.cast(rules, ballot)?).unwrap_or(refusal));
        }
        let Some(voter) = ballot.voter() else { return self.record_unlimited(rules, ballot) };
        match rules.judge(ballot, &self.cast(rules, ballot)?) {
            Ok(slot) => self.insert(BallotKey::of_voter(voter, slot), ballot).map(|()| Outcome::Counted),
            Err(outcome) => Ok(outcome),
        }
    }

    /// The key of nearly every ballot is free, so what is stored is looked up only if it isn't.
    fn record_unlimited(&mut self, rules: &Rules, ballot: &Ballot) -> rusqlite::Result<Outcome> {
        match self.insert(ballot.key, ballot) {
            Ok(()) => Ok(Outcome::Counted),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Outcome::of_repeated(ballot, &self.cast(rules, ballot)?).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn insert(&mut self, key: BallotKey, ballot: &Ballot) -> rusqlite::Result<()> {
        self.choices.clear();
        write!(self.choices, "{}", ballot.choices).expect("writing to a String can't fail");
        let Ballot { poll, id, accepted_at, policy, .. } = ballot;
        let own_id = (key.0 != *id.0.as_bytes()).then_some(id.0.as_bytes());
        let policy = policy.identifies_voters().then(|| policy.as_str());
        self.insert.execute(params![poll.0, key.0, own_id, self.choices, accepted_at.0, policy])?;
        Ok(())
    }

    /// What is stored of the ballot's voter, or under its id.
    fn cast(&self, rules: &Rules, ballot: &Ballot) -> rusqlite::Result<Vec<CastBallot>> {
        let last = match ballot.voter() {
            Some(voter) if rules.quota.ballots > 1 => BallotKey::of_voter(voter, u8::MAX),
            Some(_) | None => ballot.key,
        };
        self.writer
            .prepare_cached(
                "SELECT key, coalesce(ballot_id, key), choices FROM ballot WHERE poll_id = ?1 AND key BETWEEN ?2 AND ?3",
            )?
            .query_map(params![ballot.poll.0, ballot.key.0, last.0], |row| {
                let slot = BallotKey(row.get(0)?).slot();
                Ok(CastBallot { slot, id: id_from(row.get(1)?), choices: polls::word(row, 2)? })
            })?
            .collect()
    }
}
