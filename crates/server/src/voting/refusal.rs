//! Why a vote isn't counted.

use throng_domain::ballot::{BallotId, Choices};
use throng_domain::poll::{InvalidChoice, OptionId};

use super::policy::TokenFault;
use crate::state::Dependency;

/// Why a vote isn't counted. After every refusal but [`OutcomeUnknown`](Self::OutcomeUnknown) it certainly wasn't.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its choices aren't valid in this poll.
    #[error("{0}")]
    InvalidChoice(#[from] InvalidChoice),
    /// It has no ballot id, and could count twice if it were sent again.
    #[error("the vote has no ballot id")]
    BallotIdMissing,
    /// Another ballot with this id has other choices.
    #[error("the ballot id belongs to another ballot")]
    BallotIdReused,
    /// The voter has cast as many ballots in this poll as it allows.
    #[error("this voter has already voted")]
    AlreadyVoted(Earlier),
    /// As many of the voter's ballots chose this option as the poll allows.
    #[error("this voter has chosen option {0} as often as the poll allows")]
    OptionQuotaUsed(OptionId),
    /// The poll doesn't let voters change their ballots, or this voter has done so as often as is recorded.
    #[error("the ballot can't be changed")]
    NotChangeable,
    /// The ballot to be withdrawn doesn't count: its voter has cast another one since, or it never counted.
    #[error("the ballot doesn't count anyway")]
    NothingToWithdraw,
    /// The poll counts only ballots with an invitation code, and this one has none.
    #[error("the ballot has no invitation code")]
    CodeRequired,
    /// The poll doesn't have this invitation code, or it is revoked.
    #[error("the invitation code isn't valid in this poll")]
    CodeInvalid,
    /// The ballot needs a proof of work, and has none.
    #[error("the ballot has no proof of work")]
    ProofRequired {
        /// The challenge to solve; none without a ballot id, since a challenge is for one ballot.
        challenge: Option<String>,
    },
    /// The proof of work is of another ballot or poll, has expired, or solves nothing.
    #[error("the proof of work isn't valid for this ballot")]
    ProofInvalid {
        /// A new challenge.
        challenge: String,
    },
    /// The poll counts only votes of users whom the publisher names in a token, and this one has none.
    #[error("the vote has no voter's token")]
    VoterTokenMissing,
    /// The token isn't valid for the poll.
    #[error("the voter's token isn't valid: {0}")]
    VoterTokenInvalid(TokenFault),
    /// This server has no keys that verify voters' tokens. Another one may have them.
    #[error("VOTER_KEYS isn't set, so no voter of a poll with the policy `signed` can be recognized")]
    VoterKeysMissing,
    /// The poll is a rehearsal, and the vote isn't one of a load run with a valid pass for it.
    #[error("the poll is a rehearsal, which takes no votes")]
    Rehearsal,
    /// The poll isn't open yet.
    #[error("the poll isn't open yet")]
    PollNotOpen,
    /// The poll is closed.
    #[error("the poll is closed")]
    PollClosed,
    /// The sender's network has sent as many votes to this poll as it may at this time. The same vote may be accepted later.
    #[error("too many votes come from this network; the next is allowed in {retry_after_s} s")]
    RateLimited {
        /// After how many whole seconds; at least 1.
        retry_after_s: u32,
    },
    /// Too many ballots are waiting. The same vote may be accepted a moment later.
    #[error("too many ballots are waiting")]
    Overloaded,
    /// What has to accept the ballot is unavailable. The same vote may be accepted later.
    #[error("{} accepts no ballots", .0.name())]
    Unavailable(Dependency),
    /// A write failed, and whether this ballot was counted is unknown. Sent again with the same id, it counts once.
    #[error("it is unknown whether the ballot {0} was counted")]
    OutcomeUnknown(BallotId),
}

impl Refusal {
    /// The challenge to solve, where a proof of work is what the ballot lacks.
    pub fn challenge(&self) -> Option<&str> {
        if let Self::ProofRequired { challenge: Some(challenge) } | Self::ProofInvalid { challenge } = self {
            Some(challenge)
        } else {
            None
        }
    }
}

/// The ballots that a voter has cast, as far as the sender of another one may know.
#[derive(Debug, PartialEq, Eq)]
pub enum Earlier {
    /// So many of the sender's, who holds the device's or user's token, or the code.
    OfVoter {
        /// How many.
        ballots: u8,
        /// The choices, if it is a single one.
        only: Option<Choices>,
    },
    /// So many of the network's, possibly of other people.
    OfNetwork {
        /// How many.
        ballots: u8,
    },
}
