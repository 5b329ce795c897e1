//! The tallies that workers publish to all nodes.

use std::future::poll_fn;

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::queue::{QueueError, ResultPublisher, ResultSubscriber};
use throng_domain::tally::Tallies;
use tracing::{debug, error, info, warn};

use super::confirm_channel::Address;
use super::connection::Backoff;
use super::failure::unavailable_because;
use super::subscription::{Ack, Source, Subscription};
use super::supervised_connection::SupervisedConnection;
use super::topology::BrokerConfig;
use crate::queue::message::{MessageKey, TALLIES_MAX, decode_tallies, encode_tallies};

/// The prefetch count of a subscriber.
const UNACKNOWLEDGED_MAX: u16 = 16;

/// Publishes to a fanout exchange. Messages are transient; waiting for the confirm only limits the rate to what the broker
/// can handle.
#[derive(Debug)]
pub struct RabbitResultPublisher {
    broker: BrokerConfig,
    key: MessageKey,
    connection: SupervisedConnection,
}

impl RabbitResultPublisher {
    /// Connects. Messages are authenticated with `key`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
    /// can't be reached.
    pub async fn connect(broker: BrokerConfig, key: MessageKey) -> Result<Self, QueueError> {
        let connection = SupervisedConnection::open(broker.clone(), "results out", false).await?;
        Ok(Self { broker, key, connection })
    }
}

#[async_trait]
impl ResultPublisher for RabbitResultPublisher {
    async fn publish(&self, tallies: &[Tallies]) -> Result<(), QueueError> {
        for tallies in tallies.chunks(TALLIES_MAX) {
            let message =
                encode_tallies(&self.key, tallies).map_err(|error| QueueError::Rejected(error.to_string()))?;
            let to = Address::Exchange(&self.broker.topology.results);
            match self.connection.send(to, &message, BasicProperties::default()).await {
                Ok(()) => {}
                // It may have reached some nodes.
                Err(QueueError::Unknown(error)) => debug!(error, "it is unknown whether tallies were published"),
                Err(error @ (QueueError::Unavailable(_) | QueueError::Rejected(_))) => return Err(error),
            }
        }
        Ok(())
    }
}

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
