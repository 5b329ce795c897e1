//! Publishing ballots.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amq_protocol::uri::AMQPUri;
use async_trait::async_trait;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Publisher, QueueError};
use tokio::time::{Instant, timeout_at};

use super::confirm_channel::Unconfirmed;
use super::failure::unavailable_because;
use super::identity;
use super::publisher_connection::PublisherConnection;
use super::supervised_connection::SupervisedConnection;
use super::topology::BrokerConfig;
use crate::queue::message::{MessageKey, encode_ballots};

const PURPOSE: &str = "ballots out";

/// The delay after a publisher connection could not be opened: a broker that refuses connections isn't contacted for each
/// batch.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

/// Publishes on a publisher connection of its own, which runs on the runtime that publishes first; must be used on that
/// runtime. All publishers of a node share a supervised connection, which monitors the broker and its queues.
#[derive(Debug)]
pub struct RabbitPublisher {
    broker: BrokerConfig,
    /// The name under which all that share a database identify the queue.
    name: String,
    key: MessageKey,
    connection: Arc<SupervisedConnection>,
    state: Mutex<PublisherConnectionState>,
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
enum PublisherConnectionState {
    #[default]
    NotOpened,
    /// Opened when the supervised connection had this `generation`.
    Opened {
        publisher_connection: Arc<PublisherConnection>,
        generation: u64,
    },
    OpenFailed {
        at: Instant,
        why: String,
    },
}

impl RabbitPublisher {
    /// Connects. Messages are authenticated with `key`.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
    /// can't be reached.
    pub async fn connect(broker: BrokerConfig, key: MessageKey) -> Result<Self, QueueError> {
        let connection = Arc::new(SupervisedConnection::open(broker.clone(), PURPOSE, true).await?);
        let name = identity::resolve_queue_name(&connection.uri()?, &broker.topology).await?;
        Ok(Self::new(connection, broker, name, key))
    }

    /// The name under which nodes and workers that share a database identify the queue. Nothing is published to a queue with
    /// another name.
    pub fn queue(&self) -> &str {
        &self.name
    }

    /// Another publisher on the same supervised connection, for another runtime.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(Arc::clone(&self.connection), self.broker.clone(), self.name.clone(), self.key.clone())
    }

    fn new(connection: Arc<SupervisedConnection>, broker: BrokerConfig, name: String, key: MessageKey) -> Self {
        Self { broker, name, key, connection, state: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// The publisher connection, opened if there is none.
    async fn publisher_connection(&self) -> Result<Arc<PublisherConnection>, QueueError> {
        if let Some(publisher_connection) = self.current() {
            return Ok(publisher_connection);
        }
        let _opening = self.opening.lock().await;
        // A concurrent call may have opened it meanwhile, or failed to.
        if let Some(publisher_connection) = self.current() {
            return Ok(publisher_connection);
        }
        self.refusal()?;
        let (uri, generation) = self.connection.endpoint()?;
        let opened =
            PublisherConnection::open(&uri, PURPOSE, &self.broker.topology.ballots, self.connection.alarm()).await;
        match opened.and_then(|publisher_connection| self.verify_queue(publisher_connection, &uri)) {
            Ok(publisher_connection) => {
                let publisher_connection = Arc::new(publisher_connection);
                *self.state() = PublisherConnectionState::Opened {
                    publisher_connection: Arc::clone(&publisher_connection),
                    generation,
                };
                Ok(publisher_connection)
            }
            Err(error) => {
                *self.state() = PublisherConnectionState::OpenFailed { at: Instant::now(), why: error.to_string() };
                Err(error)
            }
        }
    }

    /// Returns the connection if its queue is the one that this node registered in the database: no result would wait for
    /// ballots on another one.
    fn verify_queue(
        &self,
        publisher_connection: PublisherConnection,
        uri: &AMQPUri,
    ) -> Result<PublisherConnection, QueueError> {
        let name = identity::queue_name(self.broker.topology.prefix(), publisher_connection.cluster(), &uri.vhost);
        if name == self.name {
            return Ok(publisher_connection);
        }
        let registered = &self.name;
        Err(unavailable_because(&format!(
            "the queue's name has changed from {registered} to {name} since this node was started: restart the node"
        )))
    }

    /// The publisher connection, if it is open and to the same endpoint as the supervised connection.
    fn current(&self) -> Option<Arc<PublisherConnection>> {
        match &*self.state() {
            PublisherConnectionState::Opened { publisher_connection, generation }
                if publisher_connection.is_open() && *generation == self.connection.generation() =>
            {
                Some(Arc::clone(publisher_connection))
            }
            PublisherConnectionState::NotOpened
            | PublisherConnectionState::Opened { .. }
            | PublisherConnectionState::OpenFailed { .. } => None,
        }
    }

    /// Discards this connection; the next message opens another.
    fn discard(&self, discarded: &Arc<PublisherConnection>) {
        let mut state = self.state();
        if matches!(
            &*state,
            PublisherConnectionState::Opened { publisher_connection, .. } if Arc::ptr_eq(publisher_connection, discarded)
        ) {
            *state = PublisherConnectionState::NotOpened;
        }
    }

    fn state(&self) -> MutexGuard<'_, PublisherConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        let message = encode_ballots(&self.key, ballots).map_err(|error| QueueError::Rejected(error.to_string()))?;
        let deadline = Instant::now() + self.broker.url.confirm_max;
        self.refusal()?;
        let Ok(opened) = timeout_at(deadline, self.publisher_connection()).await else {
            self.connection.request_check();
            return Err(unavailable_because("timed out opening a connection; nothing was published"));
        };
        let publisher_connection = opened?;
        let sending = publisher_connection.send(message);
        let sent = timeout_at(deadline, sending).await.unwrap_or(Err(Unconfirmed::TimedOut));
        match &sent {
            Ok(()) | Err(Unconfirmed::Refused) => {}
            Err(Unconfirmed::Returned(_)) => self.connection.request_check(),
            // The publisher connection is kept: the broker reports the end of the alarm on it.
            Err(Unconfirmed::TimedOut) if self.connection.is_alarmed() => {}
            Err(Unconfirmed::TimedOut) => {
                self.discard(&publisher_connection);
                self.connection.request_check();
            }
            // The supervised connection detects by itself that the broker is unreachable.
            Err(Unconfirmed::NotSent | Unconfirmed::Lost(_) | Unconfirmed::NotRequested) => {}
        }
        Ok(sent?)
    }

    fn refusal(&self) -> Result<(), QueueError> {
        self.connection.refusal()?;
        match &*self.state() {
            PublisherConnectionState::OpenFailed { at, why } if at.elapsed() < REOPEN_AFTER => {
                Err(unavailable_because(why))
            }
            PublisherConnectionState::NotOpened
            | PublisherConnectionState::Opened { .. }
            | PublisherConnectionState::OpenFailed { .. } => Ok(()),
        }
    }

    async fn close(&self) {
        let state = std::mem::take(&mut *self.state());
        if let PublisherConnectionState::Opened { publisher_connection, .. } = state
            && let Some(publisher_connection) = Arc::into_inner(publisher_connection)
        {
            publisher_connection.close().await;
        }
    }
}
