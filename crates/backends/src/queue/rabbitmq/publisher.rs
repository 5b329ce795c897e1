//! Putting ballots on the queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Publisher, QueueError};
use tokio::time::{Instant, timeout_at};

use super::failure::no_answer;
use super::line::Line;
use super::pipe::Pipe;
use super::unconfirmed::Unconfirmed;
use super::{Broker, SEND_MAX};
use crate::queue::message::{MessageKey, encode_ballots};

const PURPOSE: &str = "ballots out";

/// Publishes on a pipe of its own, which stays on the runtime that publishes first; to be used there. Whether the broker and
/// its queue are there it knows by a line, which all publishers of a node share.
#[derive(Debug)]
pub struct RabbitPublisher {
    queue: String,
    key: MessageKey,
    line: Arc<Line>,
    pipe: Mutex<Option<Arc<Pipe>>>,
    opening: tokio::sync::Mutex<()>,
}

impl RabbitPublisher {
    /// Connects. What is published can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let line = Arc::new(Line::open(broker.clone(), PURPOSE).await?);
        Ok(Self::on(line, broker.topology.ballots, key))
    }

    /// Another one, for another runtime.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::on(Arc::clone(&self.line), self.queue.clone(), self.key.clone())
    }

    fn on(line: Arc<Line>, queue: String, key: MessageKey) -> Self {
        Self { queue, key, line, pipe: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// The pipe, opened if there is none.
    async fn pipe(&self) -> Result<Arc<Pipe>, QueueError> {
        if let Some(pipe) = self.open_pipe() {
            return Ok(pipe);
        }
        let _opening = self.opening.lock().await;
        if let Some(pipe) = self.open_pipe() {
            return Ok(pipe);
        }
        let pipe = Pipe::open(&self.line.uri()?, PURPOSE, &self.queue).await?;
        let pipe = Arc::new(pipe);
        *self.slot() = Some(Arc::clone(&pipe));
        Ok(pipe)
    }

    fn open_pipe(&self) -> Option<Arc<Pipe>> {
        self.slot().clone().filter(|pipe| pipe.is_open())
    }

    /// Why the broker takes nothing for now, if so.
    fn alarm(&self) -> Option<String> {
        self.open_pipe().and_then(|pipe| pipe.alarm())
    }

    /// Makes the next message open another pipe.
    fn forget(&self, pipe: &Arc<Pipe>) {
        self.slot().take_if(|current| Arc::ptr_eq(current, pipe));
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Pipe>>> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        let message = encode_ballots(&self.key, ballots).map_err(|error| QueueError::Rejected(error.to_string()))?;
        let deadline = Instant::now() + SEND_MAX;
        self.line.refusal()?;
        if let Some(words) = self.alarm() {
            return Err(no_answer(&format!("the broker takes nothing for now: {words}")));
        }
        let Ok(pipe) = timeout_at(deadline, self.pipe()).await else {
            self.line.doubt();
            return Err(no_answer("the broker didn't answer in time, and nothing was sent"));
        };
        let pipe = pipe?;
        let sent = timeout_at(deadline, pipe.send(message)).await.unwrap_or(Err(Unconfirmed::NoAnswer));
        match &sent {
            Ok(()) | Err(Unconfirmed::Refused) => {}
            Err(Unconfirmed::Returned(_)) => self.line.doubt(),
            // It still hears when the alarm is over.
            Err(Unconfirmed::NoAnswer) if pipe.alarm().is_some() => {}
            Err(Unconfirmed::NoAnswer) => {
                self.forget(&pipe);
                self.line.doubt();
            }
            // The line hears by itself of a broker that is away.
            Err(Unconfirmed::NotSent | Unconfirmed::Lost(_) | Unconfirmed::NotAsked) => {}
        }
        Ok(sent?)
    }

    fn is_ready(&self) -> bool {
        self.line.is_ready() && self.alarm().is_none()
    }
}
