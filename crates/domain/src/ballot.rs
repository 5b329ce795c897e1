//! A ballot: one voter's submission to one poll, and the only source of tallies.

use std::fmt;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::choices::{Choices, Form};
use crate::clock::Timestamp;
pub use crate::ids::BallotId;
use crate::ids::PollId;
use crate::policy::Policy;

/// One voter's submission, as it is recorded. It is never changed afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The poll it was cast in.
    pub poll: PollId,
    /// Its unique key in its poll: a second ballot with the same key is not counted. Where [`policy`](Self::policy) identifies
    /// voters, it is the voter's: with slot 0 until the ballot is recorded, which determines its slot.
    pub key: BallotKey,
    /// The id that its sender, or Throng in the sender's place, gave it.
    pub id: BallotId,
    /// What it says; [blank](Choices::is_blank) on a withdrawal.
    pub choices: Choices,
    /// When it arrived. Whether the poll was open is decided by this, however late the ballot is written.
    pub accepted_at: Timestamp,
    /// What identified the voter.
    pub policy: Policy,
}

impl Ballot {
    /// A ballot in a poll where everyone may vote any number of times: its key is its id, so that only the same ballot
    /// sent again is not counted again. Ids in time order (UUID version 7) keep the key's index growing at its end;
    /// others are equally correct, but slower.
    pub fn unlimited(poll: PollId, id: BallotId, choices: Choices, accepted_at: Timestamp) -> Self {
        Self { poll, key: BallotKey(id.0.into_bytes()), id, choices, accepted_at, policy: Policy::Unlimited }
    }

    /// A ballot of a voter whom the poll's policy identifies, to be recorded.
    pub fn of_voter(
        poll: PollId,
        policy: Policy,
        voter: VoterKey,
        id: BallotId,
        choices: Choices,
        accepted_at: Timestamp,
    ) -> Self {
        Self { poll, key: BallotKey::of_voter(voter, 0), id, choices, accepted_at, policy }
    }

    /// A voter's withdrawal, to be recorded: a ballot without choices, which replaces the ballot that the voter cast before. Only a
    /// [changeable](crate::poll::Poll::changeable) poll has them.
    pub fn withdrawal(poll: PollId, policy: Policy, voter: VoterKey, id: BallotId, accepted_at: Timestamp) -> Self {
        Self::of_voter(poll, policy, voter, id, Choices::blank(), accepted_at)
    }

    /// Whose ballot it is; `None` where everyone may vote any number of times.
    pub fn voter(&self) -> Option<VoterKey> {
        self.policy.identifies_voters().then(|| self.key.voter())
    }
}

/// The unique key of a ballot in its poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BallotKey(pub [u8; 16]);

/// A voter's pseudonym in one poll: the first 120 bits of an HMAC of what identifies the voter. Two voters of ten million have
/// the same one with a probability of 4 in 10²³.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(!try_from, !into, transparent)]
pub struct VoterKey(#[schemars(with = "String", regex(pattern = "^[0-9A-Fa-f]{30}$"))] pub [u8; 15]);

/// 30 hexadecimal digits.
impl fmt::Display for VoterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that isn't a voter's pseudonym.
#[derive(Debug, thiserror::Error)]
#[error("a voter's pseudonym has 30 hexadecimal digits")]
pub struct NotAVoter;

impl std::str::FromStr for VoterKey {
    type Err = NotAVoter;

    fn from_str(text: &str) -> Result<Self, NotAVoter> {
        let mut key = [0; 15];
        if text.len() != 2 * key.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAVoter);
        }
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotAVoter)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotAVoter)?;
        }
        Ok(Self(key))
    }
}

impl TryFrom<String> for VoterKey {
    type Error = NotAVoter;

    fn try_from(text: String) -> Result<Self, NotAVoter> {
        text.parse()
    }
}

impl From<VoterKey> for String {
    fn from(key: VoterKey) -> Self {
        key.to_string()
    }
}

impl BallotKey {
    /// The key of a voter's ballot with this number: the voter's pseudonym, then the number, so that one voter's keys are
    /// neighbours.
    pub fn of_voter(voter: VoterKey, slot: u8) -> Self {
        let mut key = [slot; 16];
        key[..15].copy_from_slice(&voter.0);
        Self(key)
    }

    /// All the keys that a voter's ballots may have.
    pub fn all_of_voter(voter: VoterKey) -> RangeInclusive<Self> {
        Self::of_voter(voter, 0)..=Self::of_voter(voter, u8::MAX)
    }

    /// The voter, of a voter's key.
    pub fn voter(self) -> VoterKey {
        VoterKey(*self.0.first_chunk().expect("16 bytes begin with 15"))
    }

    /// The number of the ballot among its voter's, of a voter's key.
    pub fn slot(self) -> u8 {
        self.0[15]
    }
}
