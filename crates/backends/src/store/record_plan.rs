//! A batch of ballots to be recorded in a database that handles many rows per statement: which ballots to insert, what
//! to add to the tallies, and the outcome of each ballot.
//!
//! ```text
//! judge (by the polls' windows, as of the transaction)
//!   ─► candidates: insert them ─► count, or count_all: the database reports which were inserted
//!   ─► unsettled: which ballots hold these keys? ─► held_by
//!   ─► changes: add them to the tallies ─► outcomes
//! ```

use std::collections::BTreeMap;

use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::store::{Outcome, Window};
use throng_domain::tally::{Tallies, TallyChange};

/// The tally in which versions of Throng before 0004_result counted a poll's voters: no option has this id. Their processes
/// may still run, and add to it, while another one has migrated the schema.
const VOTERS_BEFORE_0004: OptionId = OptionId(0);

/// A batch within one transaction.
#[derive(Debug)]
pub(super) struct RecordPlan<'a> {
    ballots: &'a [Ballot],
    /// Every key of the batch once, ascending, so that all transactions that insert them do so in the same order.
    keys: Vec<Key>,
    /// The index in `keys` of the ballot's key, for each ballot of the batch.
    key_of: Vec<usize>,
    /// The outcome of the ballot if its key is free, for those that didn't arrive in time.
    refusals: Vec<Option<Outcome>>,
}

/// One key and the ballot that holds it.
#[derive(Debug)]
struct Key {
    poll: PollId,
    key: BallotKey,
    /// The first ballot given that arrived in time, by its position in the batch: to be inserted.
    candidate: Option<usize>,
    /// Whether the candidate was inserted.
    counted: bool,
    /// The stored ballot that holds the key.
    holder: Option<(BallotId, Choices)>,
}

/// A ballot that wasn't inserted although its key is free: the database's responses are inconsistent.
#[derive(Debug, thiserror::Error)]
#[error("a ballot was not inserted, and there is none with its key")]
pub(super) struct Unsettled;

/// A tally for an option that the poll doesn't have, or with a sum below 0.
#[derive(Debug, thiserror::Error)]
#[error("poll {} has a tally for option {}, which it doesn't have, or with a sum below 0", .poll.0, .option.0)]
pub(super) struct StrayTally {
    poll: PollId,
    option: OptionId,
}

/// The polls that the batch has ballots for, ascending, each once.
pub(super) fn polls(ballots: &[Ballot]) -> Vec<PollId> {
    let mut polls = Vec::new();
    for ballot in ballots {
        if polls.last() != Some(&ballot.poll) {
            polls.push(ballot.poll);
        }
    }
    polls.sort_unstable();
    polls.dedup();
    polls
}

impl<'a> RecordPlan<'a> {
    /// Checks each ballot against its poll's window; a poll that isn't in `windows` doesn't exist.
    pub(super) fn judge(ballots: &'a [Ballot], windows: &BTreeMap<PollId, Window>) -> Self {
        let refusal = |ballot: &Ballot| refusal(windows.get(&ballot.poll), ballot.accepted_at);
        let refusals: Vec<_> = ballots.iter().map(refusal).collect();
        let mut positions: Vec<usize> = (0..ballots.len()).collect();
        positions.sort_by_key(|position| (ballots[*position].poll, ballots[*position].key));
        let mut keys: Vec<Key> = Vec::with_capacity(ballots.len());
        let mut key_of = vec![0; ballots.len()];
        for position in positions {
            let Ballot { poll, key, .. } = ballots[position];
            if keys.last().is_none_or(|last| (last.poll, last.key) != (poll, key)) {
                keys.push(Key { poll, key, candidate: None, counted: false, holder: None });
            }
            key_of[position] = keys.len() - 1;
            let last = keys.last_mut().expect("a key was pushed if there was none");
            if refusals[position].is_none() && last.candidate.is_none() {
                last.candidate = Some(position);
            }
        }
        Self { ballots, keys, key_of, refusals }
    }

    /// The ballots to insert: those in time, the first of each key, ascending by poll and key.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &'a Ballot> {
        self.keys.iter().filter_map(|key| key.candidate.map(|position| &self.ballots[position]))
    }

    /// All candidates were inserted.
    pub(super) fn count_all(&mut self) {
        for key in &mut self.keys {
            key.counted = key.candidate.is_some();
        }
    }

    /// The candidate of this key was inserted.
    pub(super) fn count(&mut self, poll: PollId, key: BallotKey) {
        if let Some(key) = self.find(poll, key) {
            key.counted = key.candidate.is_some();
        }
    }

    /// The keys whose holders have to be looked up: a candidate wasn't inserted, or a ballot that wasn't in time may
    /// have been counted before. Ascending by poll and key.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = (PollId, BallotKey)> {
        self.keys.iter().filter(|key| !key.counted).map(|key| (key.poll, key.key))
    }

    /// A stored ballot holds this key.
    pub(super) fn held_by(&mut self, poll: PollId, key: BallotKey, id: BallotId, choices: Choices) {
        if let Some(key) = self.find(poll, key) {
            key.holder = Some((id, choices));
        }
    }

    /// What the counted ballots add to the tallies, ascending by poll and option, so that all transactions lock the
    /// rows in the same order.
    pub(super) fn changes(&self) -> Vec<TallyChange> {
        let mut changes = Vec::new();
        for keys in self.keys.chunk_by(|left, right| left.poll == right.poll) {
            let mut change = TallyChange::none(keys[0].poll);
            let counted = keys.iter().filter(|key| key.counted).filter_map(|key| key.candidate);
            counted.for_each(|position| change.add(&self.ballots[position].choices));
            if change.voters > 0 {
                change.counts.sort_unstable();
                changes.push(change);
            }
        }
        changes
    }

    /// The outcome of each ballot, in the order given.
    ///
    /// # Errors
    /// If the holder of a candidate's key wasn't reported.
    pub(super) fn outcomes(&self) -> Result<Vec<Outcome>, Unsettled> {
        (0..self.ballots.len()).map(|position| self.outcome(position)).collect()
    }

    fn outcome(&self, position: usize) -> Result<Outcome, Unsettled> {
        let Key { candidate, counted, holder, .. } = &self.keys[self.key_of[position]];
        let ballot = &self.ballots[position];
        match (candidate, holder) {
            (Some(first), _) if *counted && *first == position => Ok(Outcome::Counted),
            (Some(first), _) if *counted => {
                let first = &self.ballots[*first];
                Ok(outcome_of_holder(ballot, first.id, &first.choices))
            }
            (_, Some((id, choices))) => Ok(outcome_of_holder(ballot, *id, choices)),
            (_, None) => self.refusals[position].clone().ok_or(Unsettled),
        }
    }

    fn find(&mut self, poll: PollId, key: BallotKey) -> Option<&mut Key> {
        let found = self.keys.binary_search_by_key(&(poll, key), |key| (key.poll, key.key));
        found.ok().map(|index| &mut self.keys[index])
    }
}

/// A poll's stored tallies, added up over all shards.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// The poll's own options.
    pub(super) options: Vec<OptionId>,
    /// The counts of those that have a tally.
    pub(super) counts: Vec<(OptionId, i64)>,
    pub(super) seq: i64,
    /// Without those of [`VOTERS_BEFORE_0004`]; so a correction may make it negative.
    pub(super) voters: i64,
}

impl Sums {
    /// The result; `None` if there is no such poll.
    ///
    /// # Errors
    /// If there is a tally of an option that the poll doesn't have, or a sum below 0.
    pub(super) fn tallies(mut self, poll: PollId) -> Result<Option<Tallies>, StrayTally> {
        let mut counts: Vec<_> = self.options.into_iter().map(|option| (option, 0)).collect();
        if counts.is_empty() {
            return Ok(None);
        }
        counts.sort_unstable();
        for (option, count) in self.counts {
            match counts.binary_search_by_key(&option, |(id, _)| *id) {
                Ok(index) => counts[index].1 += count,
                Err(_) if option == VOTERS_BEFORE_0004 => {
                    self.voters += count;
                    self.seq += count;
                }
                Err(_) => return Err(StrayTally { poll, option }),
            }
        }
        let natural = |option: OptionId, sum: i64| u64::try_from(sum).map_err(|_| StrayTally { poll, option });
        let counts = counts.into_iter().map(|(option, count)| Ok((option, natural(option, count)?)));
        Ok(Some(Tallies {
            poll,
            seq: natural(VOTERS_BEFORE_0004, self.seq)?,
            voters: natural(VOTERS_BEFORE_0004, self.voters)?,
            counts: counts.collect::<Result<_, _>>()?,
        }))
    }
}

/// The outcome of a ballot that arrived at this time, if it can't be counted for that reason.
fn refusal(window: Option<&Window>, accepted_at: Timestamp) -> Option<Outcome> {
    match window {
        Some(Window { closes_at: Some(closes_at), .. }) if accepted_at >= *closes_at => Some(Outcome::TooLate),
        Some(Window { opens_at: Some(opens_at), .. }) if accepted_at >= *opens_at => None,
        Some(_) | None => Some(Outcome::TooEarly),
    }
}

/// The outcome of a ballot whose key is held by the ballot with this id and these choices: the same ballot, or another.
fn outcome_of_holder(ballot: &Ballot, id: BallotId, choices: &Choices) -> Outcome {
    if id == ballot.id && *choices == ballot.choices {
        Outcome::CountedBefore
    } else {
        Outcome::KeyTaken { id, choices: choices.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const OPEN: Window = Window { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) };

    fn ballot(poll: i64, number: u128, options: &[u16], accepted_at: i64) -> Ballot {
        let choices = Choices::new(options.iter().map(|id| OptionId(*id))).unwrap();
        Ballot::unlimited(PollId(poll), BallotId(Uuid::from_u128(number)), choices, Timestamp(accepted_at))
    }

    fn windows() -> BTreeMap<PollId, Window> {
        BTreeMap::from([(PollId(1), OPEN), (PollId(2), OPEN)])
    }

    fn key(number: u128) -> BallotKey {
        BallotKey(number.to_be_bytes())
    }

    fn change(poll: i64, voters: i64, counts: &[(u16, i64)]) -> TallyChange {
        let counts = counts.iter().map(|(option, count)| (OptionId(*option), *count)).collect();
        TallyChange { poll: PollId(poll), voters, counts }
    }

    #[test]
    fn candidates_ascend_and_all_are_counted() {
        let ballots = [ballot(2, 1, &[1], 10), ballot(1, 9, &[1, 3], 10), ballot(1, 8, &[3], 19)];
        assert_eq!(polls(&ballots), [PollId(1), PollId(2)]);
        let mut batch = RecordPlan::judge(&ballots, &windows());
        assert_eq!(batch.candidates().collect::<Vec<_>>(), [&ballots[2], &ballots[1], &ballots[0]]);
        batch.count_all();
        assert_eq!(batch.unsettled().count(), 0);
        assert_eq!(batch.outcomes().unwrap(), vec![Outcome::Counted; 3]);
        assert_eq!(batch.changes(), [change(1, 2, &[(1, 1), (3, 2)]), change(2, 1, &[(1, 1)])]);
    }

    #[test]
    fn first_ballot_in_time_gets_the_key() {
        let ballots = [
            ballot(1, 7, &[1], 20),
            ballot(1, 7, &[2], 12),
            ballot(1, 7, &[2], 11),
            ballot(1, 7, &[3], 11),
            ballot(2, 7, &[3], 11),
        ];
        let mut batch = RecordPlan::judge(&ballots, &windows());
        assert_eq!(batch.candidates().collect::<Vec<_>>(), [&ballots[1], &ballots[4]]);
        batch.count_all();
        let taken = Outcome::KeyTaken { id: ballots[1].id, choices: ballots[1].choices.clone() };
        let expected = [taken.clone(), Outcome::Counted, Outcome::CountedBefore, taken, Outcome::Counted];
        assert_eq!(batch.outcomes().unwrap(), expected);
        assert_eq!(batch.changes().len(), 2);
    }

    #[test]
    fn ballot_not_inserted_gets_the_holder_of_its_key() {
        let ballots = [ballot(1, 1, &[1], 11), ballot(1, 2, &[1], 11), ballot(1, 3, &[1], 11), ballot(1, 3, &[2], 11)];
        let mut batch = RecordPlan::judge(&ballots, &windows());
        batch.count(PollId(1), key(2));
        assert_eq!(batch.unsettled().collect::<Vec<_>>(), [(PollId(1), key(1)), (PollId(1), key(3))]);
        assert!(batch.outcomes().is_err());
        for held in [&ballots[0], &ballots[3]] {
            batch.held_by(PollId(1), held.key, held.id, held.choices.clone());
        }
        let taken = Outcome::KeyTaken { id: ballots[3].id, choices: ballots[3].choices.clone() };
        let expected = [Outcome::CountedBefore, Outcome::Counted, taken, Outcome::CountedBefore];
        assert_eq!(batch.outcomes().unwrap(), expected);
        assert_eq!(batch.changes(), [change(1, 1, &[(1, 1)])]);
    }

    #[test]
    fn late_ballot_is_rejected_unless_counted_before() {
        let ballots = [ballot(1, 1, &[1], 9), ballot(1, 2, &[1], 20), ballot(1, 3, &[1], 20), ballot(9, 4, &[1], 15)];
        let mut batch = RecordPlan::judge(&ballots, &windows());
        assert_eq!(batch.candidates().count(), 0);
        assert_eq!(batch.unsettled().count(), 4);
        batch.held_by(PollId(1), ballots[2].key, ballots[2].id, ballots[2].choices.clone());
        let expected = [Outcome::TooEarly, Outcome::TooLate, Outcome::CountedBefore, Outcome::TooEarly];
        assert_eq!(batch.outcomes().unwrap(), expected);
        assert_eq!(batch.changes(), []);
    }

    #[test]
    fn draft_accepts_no_ballot() {
        let draft = BTreeMap::from([(PollId(1), Window { opens_at: None, closes_at: None })]);
        let ballots = [ballot(1, 1, &[1], 15)];
        assert_eq!(RecordPlan::judge(&ballots, &draft).outcomes().unwrap(), [Outcome::TooEarly]);
    }

    #[test]
    fn stored_tallies_add_up_with_those_of_earlier_versions() {
        let options = || vec![OptionId(2), OptionId(1)];
        let counts = vec![(OptionId(2), 1), (VOTERS_BEFORE_0004, 4), (OptionId(2), 5)];
        let sums = Sums { options: options(), counts, seq: 9, voters: 3 };
        let tallies = sums.tallies(PollId(1)).unwrap().unwrap();
        assert_eq!((tallies.seq, tallies.voters), (13, 7));
        assert_eq!(tallies.counts, [(OptionId(1), 0), (OptionId(2), 6)]);
        assert_eq!(Sums::default().tallies(PollId(1)).unwrap(), None);
        let corrected = Sums { options: options(), counts: vec![(VOTERS_BEFORE_0004, 9)], seq: 1, voters: -2 };
        let corrected = corrected.tallies(PollId(1)).unwrap().unwrap();
        assert_eq!((corrected.seq, corrected.voters), (10, 7));
        let negative = Sums { options: options(), voters: -1, ..Sums::default() };
        assert!(negative.tallies(PollId(1)).is_err());
        let stray = Sums { options: options(), counts: vec![(OptionId(3), 1)], ..Sums::default() };
        assert!(stray.tallies(PollId(1)).is_err());
    }
}
