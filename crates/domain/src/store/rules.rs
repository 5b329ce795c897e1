//! What decides whether a ballot is counted.

use super::ballots::Outcome;
use crate::ballot::{Ballot, BallotId, Choices};
use crate::clock::Timestamp;
use crate::ids::OptionId;
use crate::policy::Quota;
use crate::window::Window;

/// What a store judges a poll's ballots by, as of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When ballots are accepted.
    pub window: Window,
    /// How often a voter may vote.
    pub quota: Quota,
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

    /// What becomes of a voter's ballot that arrived in time: the slot that it takes, the lowest free one below
    /// [`Quota::ballots`], or the outcome that it has without being counted. `cast` is what this voter has cast so far.
    ///
    /// # Errors
    /// The outcome.
    pub fn judge(&self, ballot: &Ballot, cast: &[CastBallot]) -> Result<u8, Outcome> {
        if let Some(outcome) = Outcome::of_repeated(ballot, cast) {
            return Err(outcome);
        }
        let is_free = |slot: &u8| cast.iter().all(|earlier| earlier.slot != *slot);
        let Some(slot) = (0..self.quota.ballots).find(is_free) else {
            let only = if let [only] = cast { Some(only.choices.clone()) } else { None };
            return Err(Outcome::QuotaUsed { ballots: self.quota.ballots, only });
        };
        let chosen =
            |option: &OptionId| cast.iter().filter(|earlier| earlier.choices.as_slice().contains(option)).count();
        let is_used =
            |option: &&OptionId| self.quota.per_option.is_some_and(|most| chosen(option) >= usize::from(most));
        match ballot.choices.as_slice().iter().find(is_used) {
            Some(option) => Err(Outcome::OptionQuotaUsed(*option)),
            None => Ok(slot),
        }
    }
}

/// One of the ballots that a voter has cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastBallot {
    /// Its number among the voter's ballots, from 0: [`BallotKey::slot`](crate::ballot::BallotKey::slot).
    pub slot: u8,
    /// Its id.
    pub id: BallotId,
    /// What it chose.
    pub choices: Choices,
}

impl Outcome {
    /// The outcome of a ballot whose id was counted before in the same poll, for the same voter; `None` if it wasn't.
    pub fn of_repeated(ballot: &Ballot, cast: &[CastBallot]) -> Option<Self> {
        let earlier = cast.iter().find(|earlier| earlier.id == ballot.id)?;
        Some(if earlier.choices == ballot.choices { Self::CountedBefore } else { Self::IdReused })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ballot::VoterKey;
    use crate::ids::PollId;
    use crate::policy::Policy;

    fn rules(quota: Quota) -> Rules {
        Rules { window: Window { opens_at: Some(Timestamp(0)), closes_at: None }, quota }
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
        CastBallot { slot, id: BallotId(Uuid::from_u128(id)), choices: choices(options) }
    }

    #[test]
    fn ballots_take_free_slots_until_the_quota_is_used() {
        let quota = rules(Quota { ballots: 3, per_option: None });
        assert_eq!(quota.judge(&ballot(1, &[1]), &[]), Ok(0));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(0, 1, &[1])]), Ok(1));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(1, 1, &[1])]), Ok(0));
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
        assert_eq!(quota.judge(&ballot(3, &[1]), &earlier), Ok(2));
        assert_eq!(quota.judge(&ballot(3, &[1, 2]), &earlier), Err(Outcome::OptionQuotaUsed(OptionId(2))));
    }
}
