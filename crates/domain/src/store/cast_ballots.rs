//! What a voter has cast, what of it counts, and what a poll's ballots add up to.

use crate::ballot::{Ballot, BallotId, BallotKey, Choices, VoterKey};
use crate::clock::Timestamp;
use crate::ids::{OptionId, PollId};
use crate::poll::Poll;
use crate::tally::TallyChange;
use crate::void::{Void, is_void};

/// One of the ballots that a voter has cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastBallot {
    /// Its number among the voter's ballots, from 0: [`BallotKey::slot`].
    pub slot: u8,
    /// Its id.
    pub id: BallotId,
    /// What it chose.
    pub choices: Choices,
    /// When it arrived.
    pub accepted_at: Timestamp,
}

impl CastBallot {
    /// The ballot as the one of its voter with this number.
    pub fn of(ballot: &Ballot, slot: u8) -> Self {
        let Ballot { id, accepted_at, choices, .. } = ballot;
        Self { slot, id: *id, choices: choices.clone(), accepted_at: *accepted_at }
    }

    /// By what ballots of one voter are ordered: the time, then the id.
    pub(super) fn time(&self) -> (Timestamp, BallotId) {
        (self.accepted_at, self.id)
    }
}

/// The latest of a voter's ballots: in a changeable poll, the one that counts.
pub(super) fn latest(cast: &[CastBallot]) -> Option<&CastBallot> {
    cast.iter().max_by_key(|ballot| ballot.time())
}

/// What has become of a ballot that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It isn't recorded yet.
    Pending,
    /// It counts.
    Counted,
    /// It doesn't count any more: its voter has cast another one.
    Replaced,
    /// It doesn't count any more: its voter has withdrawn it.
    Withdrawn,
    /// It doesn't count: its voter had cast as many as the poll allows.
    Duplicate,
    /// It doesn't count: an operator has voided it.
    Void,
    /// It doesn't count: the result is final, and it wasn't recorded before.
    Rejected,
}

impl Standing {
    /// Of the ballot with this id in `poll`, whose voter, with the keys of `voter`, has cast these.
    pub fn of(id: BallotId, voter: BallotKey, cast: &[CastBallot], poll: &Poll) -> Self {
        let is_void = |ballot: &CastBallot| is_void(&poll.voids, voter, ballot.accepted_at, &ballot.choices);
        let found = cast.iter().find(|ballot| ballot.id == id);
        let is_recorded = found.is_some();
        let stored_max = poll.quota.stored_max(poll.changeable);
        if found.is_some_and(is_void) {
            return Self::Void;
        }
        let counting: Vec<_> = cast.iter().filter(|ballot| !is_void(ballot)).cloned().collect();
        match latest(&counting) {
            _ if !is_recorded && cast.len() >= usize::from(stored_max) => Self::Duplicate,
            _ if !is_recorded && poll.final_at.is_some() => Self::Rejected,
            _ if !is_recorded => Self::Pending,
            _ if !poll.changeable => Self::Counted,
            Some(latest) if latest.id == id => Self::Counted,
            Some(latest) if latest.choices.is_blank() => Self::Withdrawn,
            Some(_) | None => Self::Replaced,
        }
    }
}

/// How many ballots are void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voided {
    /// By any rule.
    pub all: u64,
    /// By the last rule that isn't undone, whatever others apply to them too.
    pub by_last: u64,
}

/// Adds up a poll's ballots, as a recount does.
#[derive(Debug)]
pub struct BallotSum {
    total: TallyChange,
    changeable: bool,
    voids: Vec<Void>,
    /// How many ballots were void, and to how many of them the last rule applies.
    voided: Voided,
    /// The latest ballot of the voter whose ballots are being added.
    last: Option<(VoterKey, CastBallot)>,
}

impl BallotSum {
    /// Of no ballot of this poll yet, where the void ones don't count and these counts were taken over from an earlier system.
    pub fn new(poll: PollId, changeable: bool, voids: Vec<Void>, imported: &[(OptionId, u64)]) -> Self {
        let total = TallyChange { counts: TallyChange::differences(&[], imported), ..TallyChange::none(poll) };
        Self { total, changeable, voids, voided: Voided::default(), last: None }
    }

    /// Adds a ballot. In a changeable poll, those of one voter have to follow each other, in any order.
    pub fn add(&mut self, key: BallotKey, id: BallotId, accepted_at: Timestamp, choices: &Choices) {
        if is_void(&self.voids, key, accepted_at, choices) {
            let last = self.voids.iter().rfind(|void| !void.undone);
            self.voided.all += 1;
            self.voided.by_last += u64::from(last.is_some_and(|void| void.rule.applies_to(key, accepted_at, choices)));
            return;
        }
        if !self.changeable {
            return self.total.add(choices);
        }
        let (voter, slot) = (key.voter(), key.slot());
        let ballot = CastBallot { slot, id, choices: choices.clone(), accepted_at };
        match &mut self.last {
            Some((last, latest)) if *last == voter => {
                if ballot.time() > latest.time() {
                    *latest = ballot;
                }
            }
            Some(_) | None => {
                self.add_last();
                self.last = Some((voter, ballot));
            }
        }
    }

    /// The sum, and how many ballots were void.
    pub fn finish(mut self) -> (TallyChange, Voided) {
        self.add_last();
        (self.total, self.voided)
    }

    fn add_last(&mut self) {
        if let Some((_, latest)) = self.last.take() {
            self.total.add(&latest.choices);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::new_poll::NewPoll;
    use crate::policy::{Policy, Quota};

    const KEY: BallotKey = BallotKey([7; 16]);

    fn cast(slot: u8, id: u128, options: &[u16], at: i64) -> CastBallot {
        let choices = Choices::new(options.iter().map(|id| OptionId(*id))).unwrap_or_else(Choices::blank);
        CastBallot { slot, id: BallotId(Uuid::from_u128(id)), choices, accepted_at: Timestamp(at) }
    }

    fn standings(cast: &[CastBallot], changeable: bool, ballots: u8) -> Vec<Standing> {
        let demo = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let poll = Poll { policy: Policy::Device, quota: Quota { ballots, per_option: None }, changeable, ..demo };
        (1..=4).map(|id| Standing::of(BallotId(Uuid::from_u128(id)), KEY, cast, &poll)).collect()
    }

    #[test]
    fn standing_follows_the_latest_ballot() {
        use Standing::{Counted, Duplicate, Pending, Replaced, Withdrawn};
        let mut ballots = vec![cast(0, 1, &[1], 10), cast(1, 2, &[2], 20)];
        assert_eq!(standings(&ballots, true, 1), [Replaced, Counted, Pending, Pending]);
        ballots.push(cast(2, 3, &[], 30));
        assert_eq!(standings(&ballots, true, 1), [Withdrawn, Withdrawn, Counted, Pending]);
        ballots.push(cast(3, 4, &[1], 40));
        assert_eq!(standings(&ballots, true, 1), [Replaced, Replaced, Replaced, Counted]);
        assert_eq!(standings(&ballots[..2], false, 2), [Counted, Counted, Duplicate, Duplicate]);
        assert_eq!(standings(&ballots[..2], false, 3), [Counted, Counted, Pending, Pending]);
        assert_eq!(standings(&[], true, 1), [Pending; 4]);
    }

    #[test]
    fn ballot_that_a_final_result_lacks_is_rejected() {
        let demo = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let poll = Poll { final_at: Some(Timestamp(9)), ..demo };
        let standing = |cast: &[CastBallot]| Standing::of(BallotId(Uuid::from_u128(1)), KEY, cast, &poll);
        assert_eq!((standing(&[]), standing(&[cast(0, 1, &[1], 1)])), (Standing::Rejected, Standing::Counted));
    }

    #[test]
    fn sum_has_each_voters_latest_ballot() {
        let ballots = [
            (1, cast(1, 2, &[2], 20)),
            (1, cast(0, 1, &[1], 10)),
            (2, cast(0, 3, &[1, 3], 10)),
            (2, cast(1, 4, &[], 11)),
            (3, cast(0, 5, &[2], 9)),
        ];
        let sum = |changeable| {
            let mut sum = BallotSum::new(PollId(1), changeable, Vec::new(), &[]);
            for (voter, CastBallot { slot, id, choices, accepted_at }) in &ballots {
                sum.add(BallotKey::of_voter(VoterKey([*voter; 15]), *slot), *id, *accepted_at, choices);
            }
            sum.finish().0
        };
        let counts = vec![(OptionId(2), 2)];
        assert_eq!(sum(true), TallyChange { voters: 2, counts, ..TallyChange::none(PollId(1)) });
        assert_eq!(sum(false).voters, 4);
    }
}
