//! A channel on which one message at a time is sent and confirmed.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use throng_domain::queue::QueueError;
use tokio::time::{Instant, timeout, timeout_at};

use super::PERSISTENT;
use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};
use super::unconfirmed::Unconfirmed;

/// A channel with confirms, for one message at a time.
///
/// One, because the library hands a message that was returned to whichever confirm comes next: with two on their way,
/// one that no queue took could pass for confirmed.
#[derive(Debug)]
pub(super) struct Lane(Channel);

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address<'a> {
    /// To this queue, which must be there, and onto its disks.
    Queue(&'a str),
    /// To whichever queues hang on this exchange, perhaps none.
    Exchange(&'a str),
}

impl Lane {
    pub(super) async fn open(session: &Session) -> Result<Self, QueueError> {
        let channel = session.channel().await?;
        match timeout(ANSWER_MAX, channel.confirm_select(ConfirmSelectOptions::default())).await {
            Ok(Ok(())) => Ok(Self(channel)),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(no_answer("it offers no confirms")),
        }
    }

    /// Sends a message and waits, but not beyond `deadline`, until the broker has it safe. It takes the lane and gives it back once the broker has
    /// said its last word: where that is missing, or nobody waited for it, the lane ends.
    pub(super) async fn send(
        self,
        to: Address<'_>,
        body: &[u8],
        properties: BasicProperties,
        deadline: Instant,
    ) -> (Option<Self>, Result<(), Unconfirmed>) {
        let sent = timeout_at(deadline, self.publish(to, body, properties)).await;
        let sent = sent.unwrap_or(Err(Unconfirmed::NoAnswer));
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
        // Even where this fails, some of it may be on its way.
        let confirm = publishing.await.map_err(lost)?;
        match confirm.await.map_err(lost)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                Err(Unconfirmed::Returned(returned.reply_text.to_string()))
            }
            Confirmation::Nack(None) => Err(Unconfirmed::Refused),
            Confirmation::NotRequested => Err(Unconfirmed::NotAsked),
        }
    }
}

fn lost(error: lapin::Error) -> Unconfirmed {
    Unconfirmed::Lost(Box::new(error))
}
