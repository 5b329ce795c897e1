//! The ballots of one poll's voters, within a transaction that records a batch.

use rusqlite::Connection;
use throng_domain::ballot::{Ballot, BallotKey, VoterKey};
use throng_domain::poll::PollId;
use throng_domain::store::{CastBallot, Outcome, Rules};

use super::voter_map::VoterMap;
use super::voter_rows::{self, Append};
use super::voters::{Appended, Known};

/// Judges and appends the ballots. Those of one voter have to follow each other.
pub(super) struct PollVoters<'a> {
    writer: &'a Connection,
    poll: PollId,
    known: Known<'a>,
    append: Append<'a>,
    /// The keys of the rows appended so far, which the map doesn't have yet.
    appended: Vec<BallotKey>,
    /// The voter of the last ballot, and what this voter has cast so far.
    voter: Option<(VoterKey, Vec<CastBallot>)>,
}

impl<'a> PollVoters<'a> {
    pub(super) fn new(writer: &'a Connection, known: Known<'a>, poll: PollId) -> rusqlite::Result<Self> {
        Ok(Self { writer, poll, known, append: Append::new(writer)?, appended: Vec::new(), voter: None })
    }

    /// Appends the ballot, unless its outcome is another one.
    pub(super) fn record(&mut self, rules: &Rules, voter: VoterKey, ballot: &Ballot) -> rusqlite::Result<Outcome> {
        let refusal = rules.refusal(ballot.accepted_at);
        let map = match self.known {
            Known::All(map) => map,
            // Nothing of this voter can be stored.
            Known::NotYet if refusal == Some(Outcome::TooEarly) => return Ok(Outcome::TooEarly),
            Known::NotYet => return Ok(Outcome::NotReady),
            Known::NoLonger => return Ok(refusal.unwrap_or(Outcome::TooLate)),
        };
        let mut cast = match self.voter.take() {
            Some((last, cast)) if last == voter => cast,
            Some(_) | None => self.cast(map, voter)?,
        };
        let outcome = match refusal {
            // Sent again after the close, a ballot keeps its earlier outcome.
            Some(refusal) => Outcome::of_repeated(ballot, &cast).unwrap_or(refusal),
            None => match rules.judge(ballot, &cast) {
                Ok(slot) => {
                    self.append(map, BallotKey::of_voter(voter, slot), ballot)?;
                    cast.push(CastBallot { slot, id: ballot.id, choices: ballot.choices.clone() });
                    Outcome::Counted
                }
                Err(outcome) => outcome,
            },
        };
        self.voter = Some((voter, cast));
        Ok(outcome)
    }

    /// The rows to be added to the map once the transaction is committed.
    pub(super) fn into_appended(self) -> Appended {
        Appended { poll: self.poll, keys: self.appended }
    }

    fn append(&mut self, map: &VoterMap, key: BallotKey, ballot: &Ballot) -> rusqlite::Result<()> {
        self.appended.push(key);
        self.append.row(map.last() + self.appended.len() as u64, key, ballot)
    }

    /// What the voter has cast before this batch: in the slots from 0 on, since a ballot takes the lowest free one.
    fn cast(&self, map: &VoterMap, voter: VoterKey) -> rusqlite::Result<Vec<CastBallot>> {
        let stored = (0..=u8::MAX).map_while(|slot| self.stored(map, BallotKey::of_voter(voter, slot)).transpose());
        stored.collect()
    }

    fn stored(&self, map: &VoterMap, key: BallotKey) -> rusqlite::Result<Option<CastBallot>> {
        for number in map.candidates(key) {
            let stored = voter_rows::with_key(self.writer, self.poll, number, key)?;
            if stored.is_some() {
                return Ok(stored);
            }
        }
        Ok(None)
    }
}
