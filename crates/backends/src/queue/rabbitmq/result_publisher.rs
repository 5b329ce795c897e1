//! Sending tallies to all nodes.

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::queue::{QueueError, ResultPublisher};
use throng_domain::tally::Tallies;
use tracing::debug;

use super::Broker;
use super::lane::Address;
use super::line::Line;
use crate::queue::message::{MessageKey, TALLIES_MAX, encode_tallies};

/// Publishes to a fanout exchange. Messages are stored nowhere; the confirm only shows that the broker keeps up, so that none
/// pile up here when it doesn't.
#[derive(Debug)]
pub struct RabbitResultPublisher {
    broker: Broker,
    key: MessageKey,
    line: Line,
}

impl RabbitResultPublisher {
    /// Connects. Messages can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let line = Line::open(broker.clone(), "results out", false).await?;
        Ok(Self { broker, key, line })
    }
}

#[async_trait]
impl ResultPublisher for RabbitResultPublisher {
    async fn publish(&self, tallies: &[Tallies]) -> Result<(), QueueError> {
        for tallies in tallies.chunks(TALLIES_MAX) {
            let message =
                encode_tallies(&self.key, tallies).map_err(|error| QueueError::Rejected(error.to_string()))?;
            let to = Address::Exchange(&self.broker.topology.results);
            match self.line.send(to, &message, BasicProperties::default()).await {
                Ok(()) => {}
                // Some nodes may have received it.
                Err(QueueError::Unknown(error)) => debug!(error, "whether tallies were sent to the nodes is unknown"),
                Err(error @ (QueueError::Unavailable(_) | QueueError::Rejected(_))) => return Err(error),
            }
        }
        Ok(())
    }
}
