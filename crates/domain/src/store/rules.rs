//! What decides whether a ballot is counted.

use std::sync::Arc;

use super::ballots::Outcome;
use super::cast_ballots::{CastBallot, latest};
use crate::ballot::{Ballot, BallotKey, Choices};
use crate::clock::Timestamp;
use crate::ids::OptionId;
use crate::policy::Quota;
use crate::tally::TallyChange;
use crate::void::{Void, is_void};
use crate::window::Window;

/// What a store judges a poll's ballots by, as of its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When ballots are accepted.
    pub window: Window,
    /// How often a voter may vote.
    pub quota: Quota,
    /// Whether a voter's next ballot replaces the one before. The quota is one ballot then.
    pub changeable: bool,
    /// Which ballots don't count.
    pub voids: Arc<[Void]>,
}

/// How a ballot is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its number among the voter's ballots: the lowest free one.
    pub slot: u8,
    /// What it does to the tallies.
    pub effect: Effect,
}

/// What a ballot that is recorded does to the tallies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is added.
    Adds,
    /// It is added in the place of the voter's ballot with these choices.
    Replaces(Choices),
    /// Nothing: a ballot that the voter cast later was recorded before.
    Outdated,
    /// Nothing: the ballot is void.
    Void,
}

impl Rules {
    /// The outcome of a ballot that arrived at this time and isn't counted for that reason; `None` if it arrived in time.
    pub fn refusal(&self, accepted_at: Timestamp) -> Option<Outcome> {
        match self.window {
            Window { closes_at: Some(closes_at), .. } if accepted_at >= closes_at => Some(Outcome::TooLate),
            Window { opens_at: Some(opens_at), .. } if accepted_at >= opens_at => None,
            Window { .. } => Some(Outcome::TooEarly),
        }
    }

    /// The outcome of a ballot whose id was recorded before in the same poll, for the same voter; `None` if it wasn't.
    pub fn outcome_of_repeated(&self, ballot: &Ballot, cast: &[CastBallot]) -> Option<Outcome> {
        let earlier = cast.iter().find(|earlier| earlier.id == ballot.id)?;
        let counting: Vec<_> = cast.iter().filter(|cast| !self.is_void_cast(ballot.key, cast)).cloned().collect();
        // A void ballot's sender doesn't learn of it here.
        let is_void = self.is_void_cast(ballot.key, earlier);
        let counts = !self.changeable || is_void || latest(&counting).is_some_and(|latest| latest.id == ballot.id);
        Some(match (earlier.choices == ballot.choices, counts) {
            (true, true) => Outcome::CountedBefore,
            (true, false) => Outcome::Outdated,
            (false, _) => Outcome::IdReused,
        })
    }

    /// What becomes of a voter's ballot that arrived in time, or the outcome that it has without being recorded. `cast` is what this
    /// voter has cast so far.
    ///
    /// # Errors
    /// The outcome.
    pub fn judge(&self, ballot: &Ballot, cast: &[CastBallot]) -> Result<Admitted, Outcome> {
        if let Some(outcome) = self.outcome_of_repeated(ballot, cast) {
            return Err(outcome);
        }
        let is_free = |slot: &u8| cast.iter().all(|earlier| earlier.slot != *slot);
        let slot = (0..self.quota.stored_max(self.changeable)).find(is_free);
        if self.changeable {
            let slot = slot.ok_or(Outcome::NotChangeable)?;
            let counting: Vec<_> = cast.iter().filter(|cast| !self.is_void_cast(ballot.key, cast)).cloned().collect();
            let effect = if self.is_void(ballot) { Effect::Void } else { Effect::after(ballot, &counting) };
            return Ok(Admitted { slot, effect });
        }
        if ballot.choices.is_blank() {
            return Err(Outcome::NotChangeable);
        }
        let slot = slot.ok_or_else(|| {
            let only = if let [only] = cast { Some(only.choices.clone()) } else { None };
            Outcome::QuotaUsed { ballots: self.quota.ballots, only }
        })?;
        let chosen =
            |option: &OptionId| cast.iter().filter(|earlier| earlier.choices.as_slice().contains(option)).count();
        let is_used =
            |option: &&OptionId| self.quota.per_option.is_some_and(|most| chosen(option) >= usize::from(most));
        match ballot.choices.as_slice().iter().find(is_used) {
            Some(option) => Err(Outcome::OptionQuotaUsed(*option)),
            None => Ok(Admitted { slot, effect: self.effect_of_first(ballot) }),
        }
    }

    /// What a ballot does that replaces none.
    pub fn effect_of_first(&self, ballot: &Ballot) -> Effect {
        if self.is_void(ballot) { Effect::Void } else { Effect::Adds }
    }

    fn is_void(&self, ballot: &Ballot) -> bool {
        is_void(&self.voids, ballot.key, ballot.accepted_at, &ballot.choices)
    }

    /// Whether an earlier ballot of the voter with this key is void.
    fn is_void_cast(&self, key: BallotKey, cast: &CastBallot) -> bool {
        is_void(&self.voids, key, cast.accepted_at, &cast.choices)
    }
}

impl Effect {
    /// Of a ballot whose voter has cast these before, where only the latest one counts. Ballots may be recorded in any order: which
    /// is the latest doesn't depend on it.
    fn after(ballot: &Ballot, cast: &[CastBallot]) -> Self {
        match latest(cast) {
            None => Self::Adds,
            Some(latest) if latest.time() > (ballot.accepted_at, ballot.id) => Self::Outdated,
            Some(latest) => Self::Replaces(latest.choices.clone()),
        }
    }

    /// Adds to `change` what a ballot with these choices does; returns whether it does anything.
    pub fn apply(&self, choices: &Choices, change: &mut TallyChange) -> bool {
        match self {
            Self::Adds => change.add(choices),
            Self::Replaces(replaced) => {
                change.remove(replaced);
                change.add(choices);
            }
            Self::Outdated | Self::Void => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ballot::{BallotId, VoterKey};
    use crate::ids::PollId;
    use crate::policy::{CHANGEABLE_MAX, Policy};

    fn rules(quota: Quota) -> Rules {
        let window = Window { opens_at: Some(Timestamp(0)), closes_at: None };
        Rules { window, quota, changeable: false, voids: Arc::default() }
    }

    fn adds(slot: u8) -> Result<Admitted, Outcome> {
        Ok(Admitted { slot, effect: Effect::Adds })
    }

    fn choices(options: &[u16]) -> Choices {
        Choices::new(options.iter().map(|id| OptionId(*id))).unwrap()
    }

    fn ballot(id: u128, options: &[u16]) -> Ballot {
        let voter = VoterKey([7; 15]);
        Ballot::of_voter(
            PollId(1),
            Policy::Device,
            voter,
            BallotId(Uuid::from_u128(id)),
            choices(options),
            Timestamp(1),
        )
    }

    fn cast(slot: u8, id: u128, options: &[u16]) -> CastBallot {
        CastBallot { slot, id: BallotId(Uuid::from_u128(id)), choices: choices(options), accepted_at: Timestamp(1) }
    }

    #[test]
    fn ballots_take_free_slots_until_the_quota_is_used() {
        let quota = rules(Quota { ballots: 3, per_option: None });
        assert_eq!(quota.judge(&ballot(1, &[1]), &[]), adds(0));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(0, 1, &[1])]), adds(1));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(1, 1, &[1])]), adds(0));
        let all = [cast(0, 1, &[1]), cast(1, 2, &[2]), cast(2, 3, &[1])];
        let used = Err(Outcome::QuotaUsed { ballots: 3, only: None });
        assert_eq!(quota.judge(&ballot(4, &[1]), &all), used);
    }

    #[test]
    fn ballot_sent_again_uses_no_quota() {
        let earlier = [cast(0, 1, &[1, 2])];
        assert_eq!(rules(Quota::ONE).judge(&ballot(1, &[1, 2]), &earlier), Err(Outcome::CountedBefore));
        assert_eq!(rules(Quota::ONE).judge(&ballot(1, &[2]), &earlier), Err(Outcome::IdReused));
    }

    #[test]
    fn an_option_has_a_quota_of_its_own() {
        let quota = rules(Quota { ballots: 20, per_option: Some(2) });
        let earlier = [cast(0, 1, &[1, 2]), cast(1, 2, &[2])];
        assert_eq!(quota.judge(&ballot(3, &[1]), &earlier), adds(2));
        assert_eq!(quota.judge(&ballot(3, &[1, 2]), &earlier), Err(Outcome::OptionQuotaUsed(OptionId(2))));
    }

    #[test]
    fn next_ballot_replaces_the_latest_where_it_may() {
        let changeable = Rules { changeable: true, ..rules(Quota::ONE) };
        let at = |ms, ballot| Ballot { accepted_at: Timestamp(ms), ..ballot };
        let cast_at = |ms, cast| CastBallot { accepted_at: Timestamp(ms), ..cast };
        assert_eq!(changeable.judge(&ballot(1, &[1]), &[]), adds(0));
        let cast = [cast_at(5, cast(0, 1, &[1])), cast_at(3, cast(1, 2, &[2]))];
        let replaces = Admitted { slot: 2, effect: Effect::Replaces(choices(&[1])) };
        assert_eq!(changeable.judge(&at(6, ballot(3, &[3])), &cast), Ok(replaces.clone()));
        // Of two ballots of one moment, the one with the higher id is the later one, whichever is recorded first.
        assert_eq!(changeable.judge(&at(5, ballot(3, &[3])), &cast), Ok(replaces));
        let outdated = Ok(Admitted { slot: 2, effect: Effect::Outdated });
        assert_eq!(changeable.judge(&at(5, ballot(0, &[3])), &cast), outdated);
        assert_eq!(changeable.judge(&at(4, ballot(3, &[3])), &cast), outdated);
        assert_eq!(changeable.judge(&at(9, ballot(1, &[1])), &cast), Err(Outcome::CountedBefore));
        assert_eq!(changeable.judge(&at(9, ballot(2, &[2])), &cast), Err(Outcome::Outdated));
    }

    #[test]
    fn withdrawal_is_for_changeable_polls() {
        let Ballot { poll, policy, id, .. } = ballot(9, &[1]);
        let withdrawal = Ballot::withdrawal(poll, policy, VoterKey([7; 15]), id, Timestamp(6));
        let cast = [cast(0, 1, &[1, 2])];
        assert_eq!(rules(Quota::ONE).judge(&withdrawal, &cast), Err(Outcome::NotChangeable));
        let changeable = Rules { changeable: true, ..rules(Quota::ONE) };
        let admitted = changeable.judge(&withdrawal, &cast).unwrap();
        let mut change = TallyChange::none(poll);
        assert!(admitted.effect.apply(&withdrawal.choices, &mut change));
        let counts = vec![(OptionId(1), -1), (OptionId(2), -1)];
        assert_eq!(change, TallyChange { voters: -1, counts, ..TallyChange::none(poll) });
    }

    #[test]
    fn voter_changes_a_limited_number_of_times() {
        let changeable = Rules { changeable: true, ..rules(Quota::ONE) };
        let all: Vec<_> = (0..CHANGEABLE_MAX).map(|slot| cast(slot, slot.into(), &[1])).collect();
        assert!(changeable.judge(&ballot(1_000, &[1]), &all[1..]).is_ok());
        assert_eq!(changeable.judge(&ballot(1_000, &[1]), &all), Err(Outcome::NotChangeable));
    }
}
