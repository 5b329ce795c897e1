//! Consuming the tallies that workers publish.

use std::future::poll_fn;

use async_trait::async_trait;
use throng_domain::queue::{QueueError, ResultSubscriber};
use throng_domain::tally::Tallies;
use tracing::{error, info, warn};

use super::BrokerConfig;
use super::backoff::Backoff;
use super::failure::unavailable_because;
use super::subscription::{Source, Subscription};
use super::unacknowledged::Ack;
use crate::queue::message::{MessageKey, decode_tallies};

/// The prefetch count.
const UNACKNOWLEDGED_MAX: u16 = 16;

/// Consumes an exclusive queue, which is deleted with the connection.
#[derive(Debug)]
pub struct RabbitResultSubscriber {
    broker: BrokerConfig,
    key: MessageKey,
    /// `None` while disconnected.
    subscription: Option<Subscription>,
    /// The delivery tag of the last message, until it is acknowledged.
    received: Option<u64>,
}

impl RabbitResultSubscriber {
    /// Connects. Messages not authenticated with `key` are ignored.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
    /// can't be reached.
    pub async fn connect(broker: BrokerConfig, key: MessageKey) -> Result<Self, QueueError> {
        let subscription = Some(Subscription::open(&broker, Source::Results, UNACKNOWLEDGED_MAX).await?);
        Ok(Self { broker, key, subscription, received: None })
    }

    /// The next message; `None` if it is unreadable. Dropping the future loses no message: there is no await after one is
    /// taken.
    async fn receive(&mut self) -> Result<Option<Vec<Tallies>>, QueueError> {
        let Self { key, subscription, received, .. } = self;
        let disconnected = || unavailable_because("there is no connection to the broker");
        let subscription = subscription.as_mut().ok_or_else(disconnected)?;
        if let Some(number) = received.take() {
            subscription.acknowledge(&[Ack { number, multiple: true }]).await?;
        }
        let delivery = poll_fn(|context| subscription.poll_next(context)).await?;
        *received = Some(delivery.delivery_tag);
        let tallies = decode_tallies(key, &delivery.data);
        Ok(tallies.inspect_err(|error| warn!(%error, "unreadable message of tallies ignored")).ok())
    }

    async fn reconnect(&mut self) {
        (self.subscription, self.received) = (None, None);
        let (mut backoff, mut logged) = (Backoff::default(), false);
        while self.subscription.is_none() {
            backoff.wait().await;
            match Subscription::open(&self.broker, Source::Results, UNACKNOWLEDGED_MAX).await {
                Ok(subscription) => self.subscription = Some(subscription),
                Err(error @ QueueError::Rejected(_)) if !logged => {
                    error!(%error, "the broker is reachable, but can't be used");
                    logged = true;
                }
                Err(QueueError::Rejected(_) | QueueError::Unavailable(_) | QueueError::Unknown(_)) => {}
            }
        }
        info!("reconnected to the broker; results are received");
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
                    warn!(%why, "connection to the broker lost; no results are received until it is restored");
                    self.reconnect().await;
                }
            }
        }
    }
}
