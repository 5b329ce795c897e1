//! Telling all nodes of new tallies.

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::queue::{Announcer, QueueError};
use throng_domain::tally::Tallies;
use tracing::debug;

use super::Broker;
use super::lane::Address;
use super::line::Line;
use crate::queue::message::{MessageKey, TALLIES_MAX, encode_tallies};

/// Announces on a fanout exchange. What is announced is kept nowhere; its confirm only shows that the broker keeps up,
/// so that nothing piles up here where it doesn't.
#[derive(Debug)]
pub struct RabbitAnnouncer {
    broker: Broker,
    key: MessageKey,
    line: Line,
}

impl RabbitAnnouncer {
    /// Connects. What is announced can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let line = Line::open(broker.clone(), "results out", false).await?;
        Ok(Self { broker, key, line })
    }
}

#[async_trait]
impl Announcer for RabbitAnnouncer {
    async fn announce(&self, tallies: &[Tallies]) -> Result<(), QueueError> {
        for tallies in tallies.chunks(TALLIES_MAX) {
            let message =
                encode_tallies(&self.key, tallies).map_err(|error| QueueError::Rejected(error.to_string()))?;
            let to = Address::Exchange(&self.broker.topology.results);
            match self.line.send(to, &message, BasicProperties::default()).await {
                Ok(()) => {}
                // Some may have heard it.
                Err(QueueError::Unknown(error)) => debug!(error, "whether an announcement was heard isn't known"),
                Err(error @ (QueueError::Unavailable(_) | QueueError::Rejected(_))) => return Err(error),
            }
        }
        Ok(())
    }
}
