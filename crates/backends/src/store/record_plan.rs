//! A batch of ballots to be recorded in a database that handles many rows per statement: which ballots to insert, what
//! to add to the tallies, and the outcome of each ballot.
//!
//! ```text
//! new (with the polls' rules, as of the transaction)
//!   ─► look_ups: which ballots are stored under these keys? ─► stored, for each ─► settle
//!   ─► rows: insert them, or fail ─► changes: add them to the tallies ─► outcomes
//! ```
//!
//! Optimistic, then exact: the first attempt looks up nothing but what decides about late ballots. Its inserts fail if a key is in
//! use; then the next attempt looks up all keys. If another transaction inserts one of them at the same time, that attempt fails
//! as well, and is repeated while no other transaction records in its polls.

use std::collections::BTreeMap;
use std::ops::Range;

use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::{Admitted, CastBallot, Outcome, Rules};
use throng_domain::tally::TallyChange;

/// How an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// On the assumption that no ballot is stored.
    Optimistic,
    /// With what is stored.
    Exact,
    /// The same, while no other transaction records in these polls: nothing can conflict with it.
    Alone,
}

impl Mode {
    /// The mode of a batch's first attempt: a voter who has voted comes back more often than a ballot is sent again.
    pub(super) fn first(ballots: &[Ballot]) -> Self {
        if ballots.iter().any(|ballot| ballot.voter().is_some()) { Self::Exact } else { Self::Optimistic }
    }

    /// The mode of the next attempt after one that conflicted with another transaction. Many that record ballots of the same voters
    /// could conflict again and again.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Optimistic => Self::Exact,
            Self::Exact | Self::Alone => Self::Alone,
        }
    }
}

/// A batch within one transaction.
#[derive(Debug)]
pub(super) struct RecordPlan<'a> {
    ballots: &'a [Ballot],
    /// The positions of the ballots in the batch, ordered by poll and key; those with the same key as they were given.
    order: Vec<usize>,
    /// The ballots with one key, which exclude each other. Ascending, so that all transactions insert in the same order.
    groups: Vec<Group>,
    /// What becomes of each ballot of the batch.
    decisions: Vec<Decision>,
}

/// The ballots of a voter, or those with the same id.
#[derive(Debug)]
struct Group {
    poll: PollId,
    key: BallotKey,
    /// The ballots of the batch, in [`RecordPlan::order`].
    members: Range<usize>,
    /// `None` if there is no such poll.
    rules: Option<Rules>,
    /// The ballots that were stored before.
    stored: Vec<CastBallot>,
}

#[derive(Clone, Debug)]
enum Decision {
    /// It is inserted.
    Insert(Admitted),
    Outcome(Outcome),
}

/// The keys to look up for a group: from the first to the last, which are the same where a voter has one ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LookUp {
    pub(super) poll: PollId,
    pub(super) first: BallotKey,
    pub(super) last: BallotKey,
}

/// A ballot to be inserted, and the key under which it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewRow<'a> {
    pub(super) key: BallotKey,
    pub(super) ballot: &'a Ballot,
}

impl NewRow<'_> {
    /// The ballot's id, where it differs from the key.
    pub(super) fn own_id(&self) -> Option<&[u8; 16]> {
        let id = self.ballot.id.0.as_bytes();
        (self.key.0 != *id).then_some(id)
    }

    /// The ballot's policy, where it identifies voters.
    pub(super) fn policy(&self) -> Option<&'static str> {
        let policy = self.ballot.policy;
        policy.identifies_voters().then(|| policy.as_str())
    }
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
    /// A plan by the polls' rules, to be settled; a poll that isn't in `rules` doesn't exist.
    pub(super) fn new(ballots: &'a [Ballot], rules: &BTreeMap<PollId, Rules>) -> Self {
        let mut order: Vec<usize> = (0..ballots.len()).collect();
        order.sort_by_key(|position| (ballots[*position].poll, ballots[*position].key));
        let mut groups: Vec<Group> = Vec::with_capacity(ballots.len());
        for (index, position) in order.iter().enumerate() {
            let Ballot { poll, key, .. } = ballots[*position];
            match groups.last_mut() {
                Some(last) if (last.poll, last.key) == (poll, key) => last.members.end = index + 1,
                Some(_) | None => groups.push(Group {
                    poll,
                    key,
                    members: index..index + 1,
                    rules: rules.get(&poll).cloned(),
                    stored: Vec::new(),
                }),
            }
        }
        let decisions = vec![Decision::Outcome(Outcome::TooEarly); ballots.len()];
        Self { ballots, order, groups, decisions }
    }

    /// The keys whose ballots have to be looked up, ascending: all of them, or just those of ballots that didn't arrive in time
    /// and may have been counted before.
    pub(super) fn look_ups(&self, mode: Mode) -> Vec<LookUp> {
        let is_late = |group: &Group| {
            let members = &self.order[group.members.clone()];
            members.iter().any(|position| refusal(group.rules.as_ref(), &self.ballots[*position]).is_some())
        };
        self.groups
            .iter()
            .filter(|group| mode != Mode::Optimistic || is_late(group))
            .map(|group| {
                let is_voter = self.ballots[self.order[group.members.start]].voter().is_some();
                let most = group.rules.as_ref().map_or(1, |rules| rules.quota.stored_max(rules.changeable));
                let last =
                    if is_voter && most > 1 { BallotKey::of_voter(group.key.voter(), u8::MAX) } else { group.key };
                LookUp { poll: group.poll, first: group.key, last }
            })
            .collect()
    }

    /// This ballot is stored under this key, whose slot it has.
    pub(super) fn stored(&mut self, poll: PollId, key: BallotKey, ballot: CastBallot) {
        let find = |key| self.groups.binary_search_by_key(&(poll, key), |group| (group.poll, group.key)).ok();
        let found = find(key).or_else(|| find(BallotKey::of_voter(key.voter(), 0)));
        if let Some(found) = found {
            self.groups[found].stored.push(ballot);
        }
    }

    /// Judges each ballot by its poll's rules, and by what is [`stored`](Self::stored).
    pub(super) fn settle(&mut self) {
        for group in &mut self.groups {
            let mut cast = std::mem::take(&mut group.stored);
            let before = cast.len();
            let members = &self.order[group.members.clone()];
            let mut late = Vec::new();
            for position in members {
                let ballot = &self.ballots[*position];
                let judged = match (&group.rules, refusal(group.rules.as_ref(), ballot)) {
                    (Some(rules), None) => rules.judge(ballot, &cast),
                    (_, refusal) => {
                        late.push(*position);
                        Err(refusal.unwrap_or(Outcome::TooEarly))
                    }
                };
                self.decisions[*position] = judged.map_or_else(Decision::Outcome, Decision::Insert);
                // Nearly every group has one ballot, which no other one is judged by.
                if let Decision::Insert(Admitted { slot, .. }) = self.decisions[*position]
                    && members.len() > 1
                {
                    cast.push(CastBallot::of(ballot, slot));
                }
            }
            // Sent again after the close, a ballot keeps its earlier outcome.
            for position in late {
                let repeated =
                    group.rules.as_ref().and_then(|rules| rules.outcome_of_repeated(&self.ballots[position], &cast));
                if let Some(repeated) = repeated {
                    self.decisions[position] = Decision::Outcome(repeated);
                }
            }
            cast.truncate(before);
            group.stored = cast;
        }
    }

    /// The ballots to insert, ascending by poll and key: of a voter's ballots, each takes a higher slot than the one before.
    pub(super) fn rows(&self) -> Vec<NewRow<'a>> {
        self.order.iter().filter_map(|position| self.row(*position)).collect()
    }

    fn row(&self, position: usize) -> Option<NewRow<'a>> {
        let Decision::Insert(Admitted { slot, .. }) = self.decisions[position] else { return None };
        let ballot = &self.ballots[position];
        let key = ballot.voter().map_or(ballot.key, |voter| BallotKey::of_voter(voter, slot));
        Some(NewRow { key, ballot })
    }

    /// What the inserted ballots change in the tallies, ascending by poll and option, so that all transactions lock the
    /// rows in the same order.
    pub(super) fn changes(&self) -> Vec<TallyChange> {
        let mut changes = Vec::new();
        for groups in self.groups.chunk_by(|left, right| left.poll == right.poll) {
            let mut change = TallyChange::none(groups[0].poll);
            let mut changes_any = false;
            for position in groups.iter().flat_map(|group| &self.order[group.members.clone()]) {
                if let Decision::Insert(Admitted { effect, .. }) = &self.decisions[*position] {
                    changes_any |= effect.apply(&self.ballots[*position].choices, &mut change);
                }
            }
            if changes_any {
                change.counts.sort_unstable();
                changes.push(change);
            }
        }
        changes
    }

    /// The outcome of each ballot, in the order given.
    pub(super) fn outcomes(self) -> Vec<Outcome> {
        let outcome = |decision| match decision {
            Decision::Insert(_) => Outcome::Counted,
            Decision::Outcome(outcome) => outcome,
        };
        self.decisions.into_iter().map(outcome).collect()
    }
}

/// The outcome of a ballot that didn't arrive in time; `None` if it did.
fn refusal(rules: Option<&Rules>, ballot: &Ballot) -> Option<Outcome> {
    rules.map_or(Some(Outcome::TooEarly), |rules| rules.refusal(ballot.accepted_at))
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::{BallotId, Choices, VoterKey};
    use throng_domain::clock::Timestamp;
    use throng_domain::policy::{Policy, Quota};
    use throng_domain::poll::OptionId;
    use throng_domain::store::Window;
    use uuid::Uuid;

    use super::*;

    const OPEN: Window = Window { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) };

    fn choices(options: &[u16]) -> Choices {
        Choices::new(options.iter().map(|id| OptionId(*id))).unwrap()
    }

    fn id(number: u128) -> BallotId {
        BallotId(Uuid::from_u128(number))
    }

    fn ballot(poll: i64, number: u128, options: &[u16], accepted_at: i64) -> Ballot {
        Ballot::unlimited(PollId(poll), id(number), choices(options), Timestamp(accepted_at))
    }

    fn of_voter(voter: u8, number: u128, options: &[u16], accepted_at: i64) -> Ballot {
        let (voter, at) = (VoterKey([voter; 15]), Timestamp(accepted_at));
        Ballot::of_voter(PollId(1), Policy::Device, voter, id(number), choices(options), at)
    }

    fn rules(quota: Quota) -> BTreeMap<PollId, Rules> {
        let rules = Rules { window: OPEN, quota, changeable: false, voids: std::sync::Arc::default() };
        BTreeMap::from([(PollId(1), rules.clone()), (PollId(2), rules)])
    }

    fn as_stored(ballot: &Ballot) -> CastBallot {
        CastBallot::of(ballot, 0)
    }

    /// The plan if nothing is stored.
    fn settled<'a>(ballots: &'a [Ballot], rules: &BTreeMap<PollId, Rules>) -> RecordPlan<'a> {
        let mut plan = RecordPlan::new(ballots, rules);
        plan.settle();
        plan
    }

    fn change(poll: i64, voters: i64, counts: &[(u16, i64)]) -> TallyChange {
        let counts = counts.iter().map(|(option, count)| (OptionId(*option), *count)).collect();
        TallyChange { voters, counts, ..TallyChange::none(PollId(poll)) }
    }

    #[test]
    fn rows_ascend_and_all_are_counted() {
        let ballots = [ballot(2, 1, &[1], 10), ballot(1, 9, &[1, 3], 10), ballot(1, 8, &[3], 19)];
        assert_eq!(polls(&ballots), [PollId(1), PollId(2)]);
        let plan = settled(&ballots, &rules(Quota::ONE));
        let rows: Vec<_> = plan.rows().iter().map(|row| row.ballot).collect();
        assert_eq!(rows, [&ballots[2], &ballots[1], &ballots[0]]);
        assert_eq!((plan.look_ups(Mode::Optimistic).len(), plan.look_ups(Mode::Exact).len()), (0, 3));
        assert_eq!(plan.changes(), [change(1, 2, &[(1, 1), (3, 2)]), change(2, 1, &[(1, 1)])]);
        assert_eq!(plan.outcomes(), vec![Outcome::Counted; 3]);
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
        let plan = settled(&ballots, &rules(Quota::ONE));
        // The first one is late, and may have been counted before.
        assert_eq!(plan.look_ups(Mode::Optimistic).len(), 1);
        let rows: Vec<_> = plan.rows().iter().map(|row| row.ballot).collect();
        assert_eq!(rows, [&ballots[1], &ballots[4]]);
        assert_eq!(plan.changes().len(), 2);
        let expected =
            [Outcome::IdReused, Outcome::Counted, Outcome::CountedBefore, Outcome::IdReused, Outcome::Counted];
        assert_eq!(plan.outcomes(), expected);
    }

    #[test]
    fn stored_ballot_is_not_inserted_again() {
        let ballots = [ballot(1, 1, &[1], 11), ballot(1, 2, &[1], 11), ballot(1, 3, &[1], 11), ballot(1, 3, &[2], 11)];
        let mut plan = settled(&ballots, &rules(Quota::ONE));
        for stored in [&ballots[0], &ballots[3]] {
            plan.stored(PollId(1), stored.key, as_stored(stored));
        }
        plan.settle();
        assert_eq!(plan.changes(), [change(1, 1, &[(1, 1)])]);
        let expected = [Outcome::CountedBefore, Outcome::Counted, Outcome::IdReused, Outcome::CountedBefore];
        assert_eq!(plan.outcomes(), expected);
    }

    #[test]
    fn late_ballot_is_rejected_unless_counted_before() {
        let ballots = [ballot(1, 1, &[1], 9), ballot(1, 2, &[1], 20), ballot(1, 3, &[1], 20), ballot(9, 4, &[1], 15)];
        let mut plan = settled(&ballots, &rules(Quota::ONE));
        assert_eq!(plan.look_ups(Mode::Optimistic).len(), 4);
        plan.stored(PollId(1), ballots[2].key, as_stored(&ballots[2]));
        plan.settle();
        assert_eq!((plan.rows(), plan.changes()), (vec![], vec![]));
        let expected = [Outcome::TooEarly, Outcome::TooLate, Outcome::CountedBefore, Outcome::TooEarly];
        assert_eq!(plan.outcomes(), expected);
    }

    #[test]
    fn draft_accepts_no_ballot() {
        let window = Window { opens_at: None, closes_at: None };
        let draft = BTreeMap::from([(
            PollId(1),
            Rules { window, quota: Quota::ONE, changeable: false, voids: std::sync::Arc::default() },
        )]);
        assert_eq!(settled(&[ballot(1, 1, &[1], 15)], &draft).outcomes(), [Outcome::TooEarly]);
    }

    #[test]
    fn voter_gets_as_many_slots_as_the_quota_has() {
        let ballots =
            [of_voter(7, 1, &[1], 11), of_voter(7, 2, &[2], 11), of_voter(8, 1, &[1], 11), of_voter(7, 3, &[1], 11)];
        assert_eq!(Mode::first(&ballots), Mode::Exact);
        let quota = Quota { ballots: 2, per_option: None };
        let mut plan = settled(&ballots, &rules(quota));
        let (seven, eight) = (VoterKey([7; 15]), VoterKey([8; 15]));
        let ranges: Vec<_> = plan.look_ups(Mode::Exact).iter().map(|look_up| (look_up.first, look_up.last)).collect();
        let range = |voter| (BallotKey::of_voter(voter, 0), BallotKey::of_voter(voter, 255));
        assert_eq!(ranges, [range(seven), range(eight)]);
        let keys = |plan: &RecordPlan<'_>| plan.rows().iter().map(|row| row.key).collect::<Vec<_>>();
        let all = [BallotKey::of_voter(seven, 0), BallotKey::of_voter(seven, 1), BallotKey::of_voter(eight, 0)];
        assert_eq!(keys(&plan), all);
        plan.stored(PollId(1), all[1], CastBallot { slot: 1, ..as_stored(&of_voter(7, 9, &[3], 11)) });
        plan.settle();
        assert_eq!(keys(&plan), [all[0], all[2]]);
        let used = Outcome::QuotaUsed { ballots: 2, only: None };
        assert_eq!(plan.outcomes(), [Outcome::Counted, used.clone(), Outcome::Counted, used]);
    }

    #[test]
    fn another_ballot_of_a_voter_is_not_counted() {
        let ballots = [of_voter(7, 1, &[1], 11), of_voter(7, 2, &[1], 11), of_voter(7, 1, &[1], 12)];
        let plan = settled(&ballots, &rules(Quota::ONE));
        let look_up = plan.look_ups(Mode::Exact)[0];
        assert_eq!((look_up.first, look_up.last), (ballots[0].key, ballots[0].key));
        let used = Outcome::QuotaUsed { ballots: 1, only: Some(choices(&[1])) };
        assert_eq!(plan.outcomes(), [Outcome::Counted, used, Outcome::CountedBefore]);
    }

    #[test]
    fn latest_ballot_of_a_changeable_poll_counts() {
        let changeable = Rules { window: OPEN, quota: Quota::ONE, changeable: true, voids: std::sync::Arc::default() };
        let ballots = [of_voter(7, 1, &[1], 12), of_voter(7, 2, &[2], 11), of_voter(7, 3, &[3], 13)];
        let mut plan = RecordPlan::new(&ballots, &BTreeMap::from([(PollId(1), changeable)]));
        let look_up = plan.look_ups(Mode::Exact)[0];
        assert_eq!(look_up.first..=look_up.last, BallotKey::all_of_voter(VoterKey([7; 15])));
        plan.stored(PollId(1), ballots[0].key, as_stored(&of_voter(7, 9, &[5], 10)));
        plan.settle();
        let slots: Vec<_> = plan.rows().iter().map(|row| (row.key.slot(), row.ballot.id)).collect();
        assert_eq!(slots, [(1, id(1)), (2, id(2)), (3, id(3))]);
        assert_eq!(plan.changes(), [change(1, 0, &[(1, 0), (3, 1), (5, -1)])]);
        assert_eq!(plan.outcomes(), vec![Outcome::Counted; 3]);
    }

    #[test]
    fn ballot_replaced_by_an_equal_one_is_a_change() {
        let changeable = Rules { window: OPEN, quota: Quota::ONE, changeable: true, voids: std::sync::Arc::default() };
        let ballots = [of_voter(7, 1, &[1], 12)];
        let mut plan = RecordPlan::new(&ballots, &BTreeMap::from([(PollId(1), changeable)]));
        plan.stored(PollId(1), ballots[0].key, as_stored(&of_voter(7, 9, &[1], 10)));
        plan.settle();
        let changes = plan.changes();
        assert_eq!(changes, [change(1, 0, &[(1, 0)])]);
        assert_eq!(changes[0].seq_increase(), 1);
    }
}
