//! Recording ballots. Ballots are counted nowhere else.

use std::fmt::Write as _;

use rusqlite::{CachedStatement, Connection, ErrorCode, TransactionBehavior, params};
use throng_domain::ballot::Ballot;
use throng_domain::poll::PollId;
use throng_domain::store::{Effect, Outcome, Recorded, Rules, StoreError};
use throng_domain::tally::TallyChange;

use super::ballots::cast;
use super::error::{StoreResult, read_error, write_error};
use super::poll_voters::PollVoters;
use super::voters::{Appended, Maps, Voters};
use super::{polls, tallies};

/// Inserts the ballots that are to be counted and adds only those to the tallies, in one transaction.
///
/// Each ballot is an insert of its own, so SQLite reports for each whether its key was free: no counting of affected
/// rows, and no second code path for batches with a duplicate. Where a poll's policy identifies voters, `voters` has their keys.
pub(super) fn record(writer: &mut Connection, voters: &Voters, ballots: &[Ballot]) -> StoreResult<Recorded> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin_error)?;
    let mut maps = voters.lock();
    let mut appended = Vec::new();
    let recorded = insert_and_count(&transaction, &mut maps, ballots, &mut appended).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    // Not before: after a rollback, a map would lead to rows that don't exist.
    appended.into_iter().for_each(|rows| maps.add(rows));
    Ok(recorded)
}

/// Before the first write nothing can have happened, whatever failed; but damage is reported as damage.
fn begin_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => StoreError::WriteFailed(error.into()),
        _ => read_error(error),
    }
}

fn insert_and_count(
    writer: &Connection,
    maps: &mut Maps,
    ballots: &[Ballot],
    appended: &mut Vec<Appended>,
) -> rusqlite::Result<Recorded> {
    let mut recorded = Recorded { outcomes: vec![Outcome::TooEarly; ballots.len()], tallies: Vec::new() };
    let mut rows = Rows::new(writer)?;
    for (poll, positions) in by_poll_and_key(ballots) {
        let Some(rules) = polls::rules(writer, poll)? else { continue };
        let mut change = TallyChange::none(poll);
        let mut changes_any = false;
        let mut voters = if positions.iter().any(|position| ballots[*position].voter().is_some()) {
            Some(PollVoters::new(writer, maps.of_poll(writer, poll)?, poll)?)
        } else {
            None
        };
        for position in positions {
            let ballot = &ballots[position];
            let judged = match (ballot.voter(), &mut voters) {
                (Some(voter), Some(voters)) => voters.record(&rules, voter, ballot)?,
                (Some(_), None) | (None, _) => rows.record(&rules, ballot)?,
            };
            recorded.outcomes[position] = match judged {
                Ok(effect) => {
                    changes_any |= effect.apply(&ballot.choices, &mut change);
                    Outcome::Counted
                }
                Err(outcome) => outcome,
            };
        }
        appended.extend(voters.map(PollVoters::into_appended));
        if changes_any {
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

/// The rows of ballots in polls where everyone may vote any number of times.
struct Rows<'a> {
    writer: &'a Connection,
    insert: CachedStatement<'a>,
    /// The text of a ballot's choices, in a buffer that is reused.
    choices: String,
}

impl<'a> Rows<'a> {
    fn new(writer: &'a Connection) -> rusqlite::Result<Self> {
        let insert = writer.prepare_cached(
            "INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        Ok(Self { writer, insert, choices: String::new() })
    }

    /// Inserts the ballot, or returns the outcome that it has without. The key of nearly every ballot is free, so what is stored is looked
    /// up only if it isn't.
    fn record(&mut self, rules: &Rules, ballot: &Ballot) -> rusqlite::Result<Result<Effect, Outcome>> {
        if let Some(refusal) = rules.refusal(ballot.accepted_at) {
            // Sent again after the close, a ballot keeps its earlier outcome.
            return Ok(Err(rules
                .outcome_of_repeated(ballot, &cast(self.writer, ballot.poll, ballot.key)?)
                .unwrap_or(refusal)));
        }
        match self.insert(ballot) {
            Ok(()) => Ok(Ok(rules.effect_of_first(ballot))),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                rules.outcome_of_repeated(ballot, &cast(self.writer, ballot.poll, ballot.key)?).map(Err).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn insert(&mut self, ballot: &Ballot) -> rusqlite::Result<()> {
        self.choices.clear();
        write!(self.choices, "{}", ballot.choices).expect("writing to a String can't fail");
        let Ballot { poll, key, id, accepted_at, .. } = ballot;
        let own_id = (key.0 != *id.0.as_bytes()).then_some(id.0.as_bytes());
        self.insert.execute(params![poll.0, key.0, own_id, self.choices, accepted_at.0])?;
        Ok(())
    }
}
