//! Detects policies that make the broker lose messages that it has confirmed.
//!
//! A policy's `message-ttl`, `expires` and `max-length` lower the values of a queue's own arguments, and its `overflow`
//! replaces them; clients are not notified. So each node declares a queue of its own, fills it with messages that are never
//! consumed, and checks periodically that the queue refuses another message, as a full queue must. If it accepts one,
//! messages were dropped or have expired. A refused message costs the broker no write. `expires` first deletes
//! `{prefix}.dead`, which is never consumed.
//!
//! The same message yields what the broker reports only to publishers: that it is short of memory or disk space, and that a
//! message is too large.

use std::time::Duration;

use throng_domain::queue::QueueError;
use tokio::time::Instant;
use tracing::{error, info};

use super::confirm_channel::{Address, ConfirmChannel, Unconfirmed};
use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use super::topology::Topology;
use crate::queue::message::PUBLISHED_BYTES_MAX;

/// The messages after which a queue of length one is full: the broker checks the length before it adds a message.
const FILL_MAX: usize = 4;

/// The interval at which the messages are replaced. A `message-ttl` applies only to messages published after it was set, so
/// that older ones wouldn't expire.
const REFILL_AFTER: Duration = Duration::from_secs(5);

/// The minimum time without a loss after which a loss of messages is taken to be over.
const CLEAR_AFTER_MIN: Duration = Duration::from_secs(3);

/// The same for the deletion of a queue: RabbitMQ checks every 5 s for quorum queues that have expired.
const CLEAR_AFTER_DELETION: Duration = Duration::from_secs(10);

const SMALL: &[u8] = b"canary";

const DROPPED: &str = "a full queue accepts messages and drops others (overflow)";
const EXPIRED: &str = "messages expire (message-ttl), or a full queue drops them (overflow)";
const DELETED: &str = "a queue without consumers is deleted (expires)";

/// A node's canary queue, and the loss detected on it, if any. Persists across connections.
#[derive(Debug, Default)]
pub(super) struct Canary {
    name: Option<String>,
    /// `None` if the queue has to be declared or filled.
    filled_at: Option<Instant>,
    /// The last loss, until it is over.
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    reason: String,
    /// How long the next messages have to stay until the loss is over: twice as long as those that were lost.
    clear_after: Duration,
}

/// The outcome of publishing to the canary queue.
enum Sent {
    Refused,
    Accepted,
    NoQueue,
}

impl Canary {
    /// The connection was replaced: the contents of the queue are unknown.
    pub(super) fn reconnected(&mut self) {
        self.filled_at = None;
    }

    /// A queue was deleted on which ballots are durable only as long as it exists.
    pub(super) fn queue_was_deleted(&mut self, topology: &Topology) {
        self.record_loss(topology, DELETED, CLEAR_AFTER_DELETION);
    }

    /// Checks that the broker keeps confirmed messages and accepts the largest ones.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if the broker loses messages that it has confirmed, or refuses messages because of their size;
    /// says how to fix it. [`QueueError::Unavailable`] if the broker doesn't respond.
    pub(super) async fn check(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        let probed = self.probe(topology, session).await;
        if matches!(probed, Err(QueueError::Unavailable(_))) {
            // If the broker was killed just after it declared this queue, the queue may exist and never respond (seen on
            // RabbitMQ 4.0.5). The next one has another name.
            (self.name, self.filled_at) = (None, None);
        }
        probed?;
        self.loss().map_or(Ok(()), |reason| Err(QueueError::Rejected(reason)))
    }

    async fn probe(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        match self.filled_at {
            None => self.create(topology, session).await?,
            Some(at) => match send_one(session, self.name(), SMALL).await? {
                Sent::Refused => self.retained(topology, session, at.elapsed()).await?,
                Sent::Accepted => self.record_loss(topology, EXPIRED, at.elapsed() * 2),
                Sent::NoQueue => self.queue_was_deleted(topology),
            },
        }
        Ok(())
    }

    /// The reason of the current loss, if any is known.
    pub(super) fn loss(&self) -> Option<String> {
        self.loss.as_ref().map(|loss| loss.reason.clone())
    }

    /// The messages were retained since they were published, this long ago.
    async fn retained(&mut self, topology: &Topology, session: &Session, age: Duration) -> Result<(), QueueError> {
        if self.loss.as_ref().is_some_and(|loss| age >= loss.clear_after) {
            info!("the broker retains confirmed messages again");
            self.loss = None;
        }
        if self.loss.is_none() && age >= REFILL_AFTER {
            self.fill(topology, session).await?;
        }
        Ok(())
    }

    async fn create(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        if self.name.is_none() {
            self.name = Some(topology.new_canary_name(session).await?);
        }
        topology.declare_canary(session, self.name()).await?;
        self.fill(topology, session).await?;
        match send_one(session, self.name(), &vec![0; PUBLISHED_BYTES_MAX]).await? {
            Sent::Refused => {}
            Sent::Accepted if self.filled_at.is_some() => self.record_loss(topology, EXPIRED, CLEAR_AFTER_MIN),
            // The loss was recorded already.
            Sent::Accepted => {}
            Sent::NoQueue => self.queue_was_deleted(topology),
        }
        Ok(())
    }

    /// Purges the queue and fills it again.
    async fn fill(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        self.filled_at = None;
        if !topology.purge_canary(session, self.name()).await? {
            self.queue_was_deleted(topology);
            return Ok(());
        }
        let filled_at = Instant::now();
        let mut channel = ConfirmChannel::open(session).await?;
        for _ in 0..FILL_MAX {
            let (open, sent) = send(channel, self.name(), SMALL).await?;
            match sent {
                Sent::Accepted => channel = open.ok_or_else(|| unavailable_because("the channel is closed"))?,
                Sent::Refused => {
                    self.filled_at = Some(filled_at);
                    return Ok(());
                }
                Sent::NoQueue => {
                    self.queue_was_deleted(topology);
                    return Ok(());
                }
            }
        }
        self.record_loss(topology, DROPPED, CLEAR_AFTER_MIN);
        Ok(())
    }

    fn record_loss(&mut self, topology: &Topology, effect: &str, clear_after: Duration) {
        let reason = failure::of_policy(topology.prefix(), effect);
        if self.loss.is_none() {
            error!(why = reason, "votes are refused: the broker would lose them");
        }
        self.loss = Some(Loss { reason, clear_after: clear_after.max(CLEAR_AFTER_MIN) });
        self.filled_at = None;
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

async fn send_one(session: &Session, queue: &str, body: &[u8]) -> Result<Sent, QueueError> {
    // A new channel: one on which a message was refused keeps refusing messages by itself for a while.
    let channel = ConfirmChannel::open(session).await?;
    Ok(send(channel, queue, body).await?.1)
}

async fn send(channel: ConfirmChannel, queue: &str, body: &[u8]) -> Result<(Option<ConfirmChannel>, Sent), QueueError> {
    let deadline = Instant::now() + RESPONSE_MAX;
    let (open, sent) = channel.send(Address::Queue(queue), body, Default::default(), deadline).await;
    let sent = match sent {
        Ok(()) => Sent::Accepted,
        Err(Unconfirmed::Refused) => Sent::Refused,
        Err(Unconfirmed::Returned(_)) => Sent::NoQueue,
        Err(Unconfirmed::Lost(source)) => return Err(failure::of_sending(source, body.len())),
        Err(other @ (Unconfirmed::TimedOut | Unconfirmed::NotSent | Unconfirmed::NotRequested)) => {
            return Err(QueueError::Unavailable(Box::new(other)));
        }
    };
    Ok((open, sent))
}
