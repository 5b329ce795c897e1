//! Putting ballots on the queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amq_protocol::uri::AMQPUri;
use async_trait::async_trait;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Publisher, QueueError};
use tokio::time::{Instant, timeout_at};

use super::failure::no_answer;
use super::identity;
use super::line::Line;
use super::pipe::Pipe;
use super::topology::Topology;
use super::unconfirmed::Unconfirmed;
use super::{Broker, SEND_MAX};
use crate::queue::message::{MessageKey, encode_ballots};

const PURPOSE: &str = "ballots out";

/// How long nothing is sent after a pipe couldn't be opened: a broker that refuses isn't asked again for each batch.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

/// Publishes on a pipe of its own, which stays on the runtime that publishes first; to be used there. Whether the broker and
/// its queue are there it knows by a line, which all publishers of a node share.
#[derive(Debug)]
pub struct RabbitPublisher {
    topology: Topology,
    /// The name by which all on one database know the queue.
    name: String,
    key: MessageKey,
    line: Arc<Line>,
    state: Mutex<PipeState>,
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
enum PipeState {
    #[default]
    NotOpened,
    /// When it was opened, the line was at its `generation`th connection.
    Opened {
        pipe: Arc<Pipe>,
        generation: u64,
    },
    CouldntOpen {
        at: Instant,
        why: String,
    },
}

impl RabbitPublisher {
    /// Connects. What is published can be read under `key` alone.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let line = Arc::new(Line::open(broker.clone(), PURPOSE, true).await?);
        let name = identity::ask(&line.uri()?, &broker.topology).await?;
        Ok(Self::on(line, broker.topology, name, key))
    }

    /// The name by which nodes and workers on one database know the queue. Nothing is published to one of another name.
    pub fn queue(&self) -> &str {
        &self.name
    }

    /// Another one, for another runtime.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::on(Arc::clone(&self.line), self.topology.clone(), self.name.clone(), self.key.clone())
    }

    fn on(line: Arc<Line>, topology: Topology, name: String, key: MessageKey) -> Self {
        Self { topology, name, key, line, state: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// The pipe, opened if there is none.
    async fn pipe(&self) -> Result<Arc<Pipe>, QueueError> {
        if let Some(pipe) = self.usable_pipe() {
            return Ok(pipe);
        }
        let _opening = self.opening.lock().await;
        // Somebody else may have opened it meanwhile, or tried to.
        if let Some(pipe) = self.usable_pipe() {
            return Ok(pipe);
        }
        self.refusal()?;
        let (uri, generation) = self.line.way()?;
        let opened = Pipe::open(&uri, PURPOSE, &self.topology.ballots, self.line.alarm()).await;
        match opened.and_then(|pipe| self.of_the_same_broker(pipe, &uri)) {
            Ok(pipe) => {
                let pipe = Arc::new(pipe);
                *self.state() = PipeState::Opened { pipe: Arc::clone(&pipe), generation };
                Ok(pipe)
            }
            Err(error) => {
                *self.state() = PipeState::CouldntOpen { at: Instant::now(), why: error.to_string() };
                Err(error)
            }
        }
    }

    /// The pipe, if it leads to the queue that this node has noted: what goes elsewhere no result would wait for.
    fn of_the_same_broker(&self, pipe: Pipe, uri: &AMQPUri) -> Result<Pipe, QueueError> {
        let name = identity::name(self.topology.prefix(), pipe.cluster(), &uri.vhost);
        if name == self.name {
            return Ok(pipe);
        }
        let started = &self.name;
        Err(no_answer(&format!("the queue is {name} now, and this node started with {started}: restart it")))
    }

    /// The pipe, if it is there and leads where the line does.
    fn usable_pipe(&self) -> Option<Arc<Pipe>> {
        match &*self.state() {
            PipeState::Opened { pipe, generation } if pipe.is_open() && *generation == self.line.generation() => {
                Some(Arc::clone(pipe))
            }
            PipeState::NotOpened | PipeState::Opened { .. } | PipeState::CouldntOpen { .. } => None,
        }
    }

    /// Makes the next message open another pipe.
    fn forget(&self, pipe: &Arc<Pipe>) {
        let mut state = self.state();
        if matches!(&*state, PipeState::Opened { pipe: current, .. } if Arc::ptr_eq(current, pipe)) {
            *state = PipeState::NotOpened;
        }
    }

    fn state(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        let message = encode_ballots(&self.key, ballots).map_err(|error| QueueError::Rejected(error.to_string()))?;
        let deadline = Instant::now() + SEND_MAX;
        self.refusal()?;
        let Ok(pipe) = timeout_at(deadline, self.pipe()).await else {
            self.line.doubt();
            return Err(no_answer("the broker didn't answer in time, and nothing was sent"));
        };
        let pipe = pipe?;
        let sent = timeout_at(deadline, pipe.send(message)).await.unwrap_or(Err(Unconfirmed::NoAnswer));
        match &sent {
            Ok(()) | Err(Unconfirmed::Refused) => {}
            Err(Unconfirmed::Returned(_)) => self.line.doubt(),
            // The pipe will hear when the alarm is over.
            Err(Unconfirmed::NoAnswer) if self.line.is_alarmed() => {}
            Err(Unconfirmed::NoAnswer) => {
                self.forget(&pipe);
                self.line.doubt();
            }
            // The line hears by itself of a broker that is away.
            Err(Unconfirmed::NotSent | Unconfirmed::Lost(_) | Unconfirmed::NotAsked) => {}
        }
        Ok(sent?)
    }

    fn refusal(&self) -> Result<(), QueueError> {
        self.line.refusal()?;
        match &*self.state() {
            PipeState::CouldntOpen { at, why } if at.elapsed() < REOPEN_AFTER => Err(no_answer(why)),
            PipeState::NotOpened | PipeState::Opened { .. } | PipeState::CouldntOpen { .. } => Ok(()),
        }
    }

    async fn close(&self) {
        let state = std::mem::take(&mut *self.state());
        if let PipeState::Opened { pipe, .. } = state
            && let Some(pipe) = Arc::into_inner(pipe)
        {
            pipe.leave().await;
        }
    }
}
