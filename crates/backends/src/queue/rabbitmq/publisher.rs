//! Putting ballots on the queue.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lapin::BasicProperties;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Publisher, QueueError};

use super::Broker;
use super::failure::no_answer;
use super::lane::Address;
use super::line::Line;
use crate::queue::message::{MessageKey, encode_ballots};

/// The connections that ballots go through: the library serves each with one thread, the broker with one process.
const LINES: usize = 2;

/// Publishes through a few lines in turn.
#[derive(Debug)]
pub struct RabbitPublisher {
    broker: Broker,
    key: MessageKey,
    lines: Vec<Line>,
    turn: AtomicUsize,
}

impl RabbitPublisher {
    /// Connects. What is published can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let mut lines = Vec::with_capacity(LINES);
        for _ in 0..LINES {
            lines.push(Line::open(broker.clone(), "ballots out").await?);
        }
        Ok(Self { broker, key, lines, turn: AtomicUsize::new(0) })
    }

    /// The next line that is ready.
    fn line(&self) -> Option<&Line> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..self.lines.len())
            .map(|step| &self.lines[(turn.wrapping_add(step)) % self.lines.len()])
            .find(|line| line.is_ready())
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        let line = self.line().ok_or_else(|| no_answer("the broker is away, or takes nothing for now"))?;
        let message = encode_ballots(&self.key, ballots).map_err(|error| QueueError::Rejected(error.to_string()))?;
        line.send(Address::Queue(&self.broker.topology.ballots), &message, BasicProperties::default()).await
    }

    fn is_ready(&self) -> bool {
        self.lines.iter().any(Line::is_ready)
    }
}
