//! Why the broker didn't confirm a message.

use throng_domain::queue::{QueueError, Source};

/// Why a message wasn't confirmed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// The queue doesn't exist. The message was not enqueued.
    #[error("the broker returned the message: {0}")]
    Returned(String),
    /// The broker sent a nack. The message was not enqueued.
    #[error("the broker refused the message: its queue is full, or has no majority")]
    Refused,
    /// No confirm before the deadline; it may still arrive.
    #[error("the broker didn't confirm the message in time")]
    TimedOut,
    /// The connection was closed before. The message was not sent.
    #[error("the connection was lost before the message was sent")]
    NotSent,
    /// The connection was lost with the message in flight.
    #[error("the connection was lost before the broker confirmed the message: {0}")]
    Lost(#[source] Source),
    /// The channel is not in confirm mode.
    #[error("publisher confirms are not enabled")]
    NotRequested,
}

impl Unconfirmed {
    /// Whether the outcome is final: no further response to this message will arrive.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Returned(_) | Self::Refused => true,
            Self::NotSent | Self::TimedOut | Self::Lost(_) | Self::NotRequested => false,
        }
    }
}

impl From<Unconfirmed> for QueueError {
    fn from(unconfirmed: Unconfirmed) -> Self {
        match unconfirmed {
            Unconfirmed::Returned(_) | Unconfirmed::Refused | Unconfirmed::NotSent => {
                Self::Unavailable(Box::new(unconfirmed))
            }
            Unconfirmed::TimedOut | Unconfirmed::Lost(_) | Unconfirmed::NotRequested => {
                Self::Unknown(Box::new(unconfirmed))
            }
        }
    }
}
