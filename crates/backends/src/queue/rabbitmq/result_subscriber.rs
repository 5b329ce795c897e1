//! Receiving the tallies that workers send.

use std::future::poll_fn;

use async_trait::async_trait;
use throng_domain::queue::{QueueError, ResultSubscriber};
use throng_domain::tally::Tallies;
use tracing::{error, info, warn};

use super::Broker;
use super::backoff::Backoff;
use super::failure::no_answer;
use super::subscription::{From, Subscription};
use super::unacknowledged::Ack;
use crate::queue::message::{MessageKey, decode_tallies};

/// Messages that a node has received and not acknowledged, at most.
const UNACKNOWLEDGED_MAX: u16 = 16;

/// Receives from a queue of its own, which is deleted with the connection.
#[derive(Debug)]
pub struct RabbitResultSubscriber {
    broker: Broker,
    key: MessageKey,
    /// `None` while the broker is away.
    subscription: Option<Subscription>,
    /// The last message received, while it isn't acknowledged.
    received: Option<u64>,
}

impl RabbitResultSubscriber {
    /// Connects. Receives only what was published under `key`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let subscription = Some(Subscription::open(&broker, From::Results, UNACKNOWLEDGED_MAX).await?);
        Ok(Self { broker, key, subscription, received: None })
    }

    /// The next message; `None` if it can't be read. There is no await after it is taken, so that it can't be lost.
    async fn receive(&mut self) -> Result<Option<Vec<Tallies>>, QueueError> {
        let Self { key, subscription, received, .. } = self;
        let subscription = subscription.as_mut().ok_or_else(|| no_answer("there is no connection yet"))?;
        if let Some(number) = received.take() {
            subscription.acknowledge(&[Ack { number, multiple: true }]).await?;
        }
        let delivery = poll_fn(|context| subscription.poll_next(context)).await?;
        *received = Some(delivery.delivery_tag);
        let tallies = decode_tallies(key, &delivery.data);
        Ok(tallies.inspect_err(|error| warn!(%error, "a message with tallies can't be read and is ignored")).ok())
    }

    async fn reconnect(&mut self) {
        (self.subscription, self.received) = (None, None);
        let (mut backoff, mut told) = (Backoff::default(), false);
        while self.subscription.is_none() {
            backoff.wait().await;
            match Subscription::open(&self.broker, From::Results, UNACKNOWLEDGED_MAX).await {
                Ok(subscription) => self.subscription = Some(subscription),
                Err(error @ QueueError::Rejected(_)) if !told => {
                    error!(%error, "the broker is there, and can't be used");
                    told = true;
                }
                Err(QueueError::Rejected(_) | QueueError::Unavailable(_) | QueueError::Unknown(_)) => {}
            }
        }
        info!("results are received again");
    }
}

#[async_trait]
impl ResultSubscriber for RabbitResultSubscriber {
    async fn next(&mut self) -> Vec<Tallies> {
        loop {
            match self.receive().await {
                Ok(Some(tallies)) => return tallies,
                Ok(None) => {}
                Err(why) => {
                    warn!(%why, "no results are received until the broker is back");
                    self.reconnect().await;
                }
            }
        }
    }
}
