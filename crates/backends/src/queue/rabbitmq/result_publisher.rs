//! Publishing tallies to all nodes.

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::queue::{QueueError, ResultPublisher};
use throng_domain::tally::Tallies;
use tracing::debug;

use super::BrokerConfig;
use super::confirm_channel::Address;
use super::supervised_connection::SupervisedConnection;
use crate::queue::message::{MessageKey, TALLIES_MAX, encode_tallies};

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
