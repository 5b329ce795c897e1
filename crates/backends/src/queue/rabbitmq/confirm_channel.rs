//! A channel in confirm mode, with one message in flight at a time.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use throng_domain::queue::QueueError;
use tokio::time::{Instant, timeout, timeout_at};

use super::PERSISTENT;
use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use super::unconfirmed::Unconfirmed;

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
