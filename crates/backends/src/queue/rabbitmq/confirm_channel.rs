//! A channel in confirm mode, with one message in flight at a time.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use throng_domain::queue::{QueueError, Source};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};

/// AMQP's delivery mode for messages that are written to disk.
pub(super) const PERSISTENT: u8 = 2;

/// A channel in confirm mode that publishes one message at a time.
///
/// One, because the library attaches a returned message to whichever confirm arrives next: with two in flight, an unroutable
/// one could be taken for confirmed.
#[derive(Debug)]
pub(super) struct ConfirmChannel(Channel);

/// The destination of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address<'a> {
    /// This queue, which must exist; persistent.
    Queue(&'a str),
    /// The queues bound to this exchange, possibly none.
    Exchange(&'a str),
}

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

impl ConfirmChannel {
    pub(super) async fn open(session: &Session) -> Result<Self, QueueError> {
        let channel = session.channel().await?;
        match timeout(RESPONSE_MAX, channel.confirm_select(ConfirmSelectOptions::default())).await {
            Ok(Ok(())) => Ok(Self(channel)),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(unavailable_because("timed out enabling publisher confirms")),
        }
    }

    /// Publishes a message and waits for its confirm, at most until `deadline`. Returns the channel once the broker has
    /// confirmed, refused or returned the message; without a response, or if the future is dropped, the channel is closed.
    pub(super) async fn send(
        self,
        to: Address<'_>,
        body: &[u8],
        properties: BasicProperties,
        deadline: Instant,
    ) -> (Option<Self>, Result<(), Unconfirmed>) {
        let sent = timeout_at(deadline, self.publish(to, body, properties)).await;
        let sent = sent.unwrap_or(Err(Unconfirmed::TimedOut));
        let settled = sent.as_ref().map_or_else(Unconfirmed::is_settled, |()| true);
        (settled.then_some(self), sent)
    }

    async fn publish(&self, to: Address<'_>, body: &[u8], properties: BasicProperties) -> Result<(), Unconfirmed> {
        if !self.0.status().connected() {
            return Err(Unconfirmed::NotSent);
        }
        let (exchange, key, mandatory, properties) = match to {
            Address::Queue(queue) => ("", queue, true, properties.with_delivery_mode(PERSISTENT)),
            Address::Exchange(exchange) => (exchange, "", false, properties),
        };
        let options = BasicPublishOptions { mandatory, immediate: false };
        let publishing = self.0.basic_publish(exchange.into(), key.into(), options, body, properties);
        // Even if this fails, part of the message may have been sent.
        let confirm = publishing.await.map_err(lost)?;
        match confirm.await.map_err(lost)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                Err(Unconfirmed::Returned(returned.reply_text.to_string()))
            }
            Confirmation::Nack(None) => Err(Unconfirmed::Refused),
            Confirmation::NotRequested => Err(Unconfirmed::NotRequested),
        }
    }
}

fn lost(error: lapin::Error) -> Unconfirmed {
    Unconfirmed::Lost(Box::new(error))
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
