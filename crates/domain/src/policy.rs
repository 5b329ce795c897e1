//! Who counts as one voter in a poll, and how often a voter may vote.

use serde::Serialize;

use crate::ballot::{Ballot, BallotId, Choices};
use crate::ids::OptionId;
use crate::store::Outcome;
use crate::words::words;

words! {
    /// What identifies a voter.
    Policy {
        /// Nothing: everyone may vote any number of times.
        Unlimited = "unlimited",
        /// A token that the voter's browser keeps.
        Device = "device",
        /// The network that the ballot was sent from: an IPv4 address, or an IPv6 network of /64.
        Network = "network",
    }
}

impl Policy {
    /// Whether it identifies voters, so that a [`Quota`] applies.
    pub fn identifies_voters(self) -> bool {
        match self {
            Self::Unlimited => false,
            Self::Device | Self::Network => true,
        }
    }
}

/// How often a voter may vote in a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// How many ballots a voter may cast: at least 1.
    pub ballots: u8,
    /// How many of them may choose the same option; any number if not given.
    pub per_option: Option<u8>,
}

impl Quota {
    /// One ballot per voter.
    pub const ONE: Self = Self { ballots: 1, per_option: None };

    /// What becomes of a voter's ballot that arrived in time: the slot that it takes, the lowest free one below
    /// [`ballots`](Self::ballots), or the outcome that it has without being counted. `cast` is what this voter has cast so far.
    ///
    /// # Errors
    /// The outcome.
    pub fn judge(self, ballot: &Ballot, cast: &[CastBallot]) -> Result<u8, Outcome> {
        if let Some(outcome) = Outcome::of_repeated(ballot, cast) {
            return Err(outcome);
        }
        let is_free = |slot: &u8| cast.iter().all(|earlier| earlier.slot != *slot);
        let Some(slot) = (0..self.ballots).find(is_free) else {
            return Err(Outcome::QuotaUsed(cast.iter().map(|earlier| earlier.choices.clone()).collect()));
        };
        let chosen =
            |option: &OptionId| cast.iter().filter(|earlier| earlier.choices.as_slice().contains(option)).count();
        let is_used = |option: &&OptionId| self.per_option.is_some_and(|most| chosen(option) >= usize::from(most));
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ballot::VoterKey;
    use crate::clock::Timestamp;
    use crate::ids::PollId;

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
        let quota = Quota { ballots: 3, per_option: None };
        assert_eq!(quota.judge(&ballot(1, &[1]), &[]), Ok(0));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(0, 1, &[1])]), Ok(1));
        assert_eq!(quota.judge(&ballot(2, &[1]), &[cast(1, 1, &[1])]), Ok(0));
        let all = [cast(0, 1, &[1]), cast(1, 2, &[2]), cast(2, 3, &[1])];
        let used = Err(Outcome::QuotaUsed(vec![choices(&[1]), choices(&[2]), choices(&[1])]));
        assert_eq!(quota.judge(&ballot(4, &[1]), &all), used);
    }

    #[test]
    fn ballot_sent_again_uses_no_quota() {
        let earlier = [cast(0, 1, &[1, 2])];
        assert_eq!(Quota::ONE.judge(&ballot(1, &[1, 2]), &earlier), Err(Outcome::CountedBefore));
        assert_eq!(Quota::ONE.judge(&ballot(1, &[2]), &earlier), Err(Outcome::IdReused));
    }

    #[test]
    fn an_option_has_a_quota_of_its_own() {
        let quota = Quota { ballots: 20, per_option: Some(2) };
        let earlier = [cast(0, 1, &[1, 2]), cast(1, 2, &[2])];
        assert_eq!(quota.judge(&ballot(3, &[1]), &earlier), Ok(2));
        assert_eq!(quota.judge(&ballot(3, &[1, 2]), &earlier), Err(Outcome::OptionQuotaUsed(OptionId(2))));
    }
}
