//! Putting ballots on the queue.

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Publisher, QueueError};

use super::Broker;
use super::lane::Address;
use super::line::Line;
use crate::queue::message::{MessageKey, encode_ballots};

/// Publishes on one line, whatever the number of cores: the broker is busy long before it is.
#[derive(Debug)]
pub struct RabbitPublisher {
    broker: Broker,
    key: MessageKey,
    line: Line,
}

impl RabbitPublisher {
    /// Connects. What is published can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let line = Line::open(broker.clone(), "ballots out").await?;
        Ok(Self { broker, key, line })
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        let message = encode_ballots(&self.key, ballots).map_err(|error| QueueError::Rejected(error.to_string()))?;
        self.line.send(Address::Queue(&self.broker.topology.ballots), &message, BasicProperties::default()).await
    }

    fn is_ready(&self) -> bool {
        self.line.is_ready()
    }
}
