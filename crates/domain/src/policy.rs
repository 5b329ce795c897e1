//! Who counts as one voter in a poll, and how often a voter may vote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        /// A user whom the publisher names in a token that it signs.
        Signed = "signed",
        /// An invitation code, made by the poll's operator.
        Code = "code",
    }
}

impl Policy {
    /// Whether it identifies voters, so that a [`Quota`] applies.
    pub fn identifies_voters(self) -> bool {
        match self {
            Self::Unlimited => false,
            Self::Device | Self::Network | Self::Signed | Self::Code => true,
        }
    }
}

/// The most ballots that are recorded of a voter who may change them: a bound for what one voter can fill the store with.
pub const CHANGEABLE_MAX: u8 = 20;

/// How often a voter may vote in a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many ballots a voter may cast: at least 1.
    #[schemars(range(min = 1))]
    pub ballots: u8,
    /// How many of them may choose the same option; any number if not given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub per_option: Option<u8>,
}

impl Quota {
    /// One ballot per voter.
    pub const ONE: Self = Self { ballots: 1, per_option: None };

    /// The most ballots of one voter that are stored, where this is the poll's quota.
    pub fn stored_max(self, changeable: bool) -> u8 {
        if changeable { CHANGEABLE_MAX } else { self.ballots }
    }
}
