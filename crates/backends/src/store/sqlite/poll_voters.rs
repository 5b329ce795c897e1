//! The ballots of one poll's voters, within a transaction that records a batch.

use rusqlite::Connection;
use throng_domain::ballot::{Ballot, BallotKey, VoterKey};
use throng_domain::poll::PollId;
use throng_domain::store::{Admitted, CastBallot, Effect, Outcome, Rules};

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

    /// Appends the ballot, or returns the outcome that it has without.
    pub(super) fn record(
        &mut self,
        rules: &Rules,
        voter: VoterKey,
        ballot: &Ballot,
    ) -> rusqlite::Result<Result<Effect, Outcome>> {
        let refusal = rules.refusal(ballot.accepted_at);
        let map = match self.known {
            Known::All(map) => map,
            // Nothing of this voter can be stored.
            Known::NotYet if refusal == Some(Outcome::TooEarly) => return Ok(Err(Outcome::TooEarly)),
            Known::NotYet => return Ok(Err(Outcome::NotReady)),
            Known::NoLonger => return Ok(Err(refusal.unwrap_or(Outcome::TooLate))),
        };
        let mut cast = match self.voter.take() {
            Some((last, cast)) if last == voter => cast,
            Some(_) | None => voter_rows::at_places(self.writer, self.poll, &voter_rows::places(map, voter))?,
        };
        let judged = match refusal {
            // Sent again after the close, a ballot keeps its earlier outcome.
            Some(refusal) => Err(rules.outcome_of_repeated(ballot, &cast).unwrap_or(refusal)),
            None => rules.judge(ballot, &cast),
        };
        if let Ok(Admitted { slot, .. }) = judged {
            self.append(map, BallotKey::of_voter(voter, slot), ballot)?;
            cast.push(CastBallot::of(ballot, slot));
        }
        self.voter = Some((voter, cast));
        Ok(judged.map(|Admitted { effect, .. }| effect))
    }

    /// The rows to be added to the map once the transaction is committed.
    pub(super) fn into_appended(self) -> Appended {
        Appended { poll: self.poll, keys: self.appended }
    }

    fn append(&mut self, map: &VoterMap, key: BallotKey, ballot: &Ballot) -> rusqlite::Result<()> {
        self.appended.push(key);
        self.append.row(map.last() + self.appended.len() as u64, key, ballot)
    }
}
