//! Why the broker didn't confirm a message.

use throng_domain::queue::{QueueError, Source};

/// Why a message wasn't confirmed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// There is no such queue. The message was not taken.
    #[error("the broker returned the message: {0}")]
    Returned(String),
    /// The queue takes no more. The message was not taken.
    #[error("the broker refused the message: its queue is full, or has no majority")]
    Refused,
    /// The broker said nothing of it, and perhaps never will.
    #[error("the broker didn't confirm in time")]
    NoAnswer,
    /// What it was to be sent on had ended before. The message was not sent.
    #[error("the connection was lost before the message was sent")]
    NotSent,
    /// What it was sent on has ended.
    #[error("the connection was lost before the broker confirmed: {0}")]
    Lost(#[source] Source),
    /// The library asked for no confirm.
    #[error("no confirm was asked for")]
    NotAsked,
}

impl Unconfirmed {
    /// Whether the broker has said its last word on the message.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Returned(_) | Self::Refused => true,
            Self::NotSent | Self::NoAnswer | Self::Lost(_) | Self::NotAsked => false,
        }
    }
}

impl From<Unconfirmed> for QueueError {
    fn from(unconfirmed: Unconfirmed) -> Self {
        match unconfirmed {
            Unconfirmed::Returned(_) | Unconfirmed::Refused | Unconfirmed::NotSent => {
                Self::Unavailable(Box::new(unconfirmed))
            }
            Unconfirmed::NoAnswer | Unconfirmed::Lost(_) | Unconfirmed::NotAsked => {
                Self::Unknown(Box::new(unconfirmed))
            }
        }
    }
}
