//! Finding out whether a policy makes the broker lose what it has confirmed.
//!
//! A policy's `message-ttl`, `expires` and `max-length` lower what a queue's own arguments say, and its `overflow` replaces
//! them; no client is told. So each node has a queue of its own, full with messages that nobody takes, and looks again and
//! again whether that refuses one more message, as a full queue must. If it takes one, messages were dropped or have expired.
//! Such a refusal costs the broker no write of a message. What `expires` deletes first is `{prefix}.dead`, which nobody
//! consumes.
//!
//! The same message brings what the broker says only to those who publish: that it is short of memory or disk, and that a
//! message is too large.

use std::time::Duration;

use throng_domain::queue::QueueError;
use tokio::time::Instant;
use tracing::{error, info};

use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};
use super::lane::{Address, Lane};
use super::topology::Topology;
use super::unconfirmed::Unconfirmed;
use crate::queue::message::PUBLISHED_BYTES_MAX;

/// The messages after which a queue with room for one is full: the broker counts before it adds.
const FILL_MAX: usize = 4;

/// How often the messages are made anew. A `message-ttl` holds for what is published after it was set, so that messages from
/// before would show none.
const REFILL_AFTER: Duration = Duration::from_secs(5);

/// The least time that all must be well after messages were lost until it is taken for over.
const PROOF_MIN: Duration = Duration::from_secs(3);

/// The same after a queue was deleted: RabbitMQ looks every 5 s for quorum queues that have expired.
const PROOF_OF_QUEUES: Duration = Duration::from_secs(10);

const SMALL: &[u8] = b"canary";

const DROPPED: &str = "a full queue takes more and drops what it has (overflow)";
const EXPIRED: &str = "messages expire (message-ttl), or a full queue drops them (overflow)";
const DELETED: &str = "a queue that nobody consumes is deleted (expires)";

/// One node's queue, and what was seen of it. What was seen outlives connections.
#[derive(Debug, Default)]
pub(super) struct Canary {
    name: Option<String>,
    /// `None` where it has to be made, or filled, anew.
    filled_at: Option<Instant>,
    /// The last loss, until it is over.
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    words: String,
    /// How long the next messages have to stay until the loss is over: twice as long as those that were lost.
    proof: Duration,
}

/// What became of a message that was to be refused.
enum Sent {
    Refused,
    Taken,
    NoQueue,
}

impl Canary {
    /// The connection is another one: what is on the queue isn't known.
    pub(super) fn reconnected(&mut self) {
        self.filled_at = None;
    }

    /// A queue was deleted that ballots are safe on as long as it is there.
    pub(super) fn queue_was_deleted(&mut self, topology: &Topology) {
        self.lose(topology, DELETED, PROOF_OF_QUEUES);
    }

    /// Looks whether all is as it must be.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker loses what it has confirmed, or refuses messages for their size; says what to
    /// do. [`QueueError::Unavailable`] where it doesn't say.
    pub(super) async fn check(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        let looked = self.look(topology, session).await;
        if matches!(looked, Err(QueueError::Unavailable(_))) {
            // Where the broker was killed just after it made this queue, the queue may be there and never respond again (seen on
            // RabbitMQ 4.0.5). The next one has another name.
            (self.name, self.filled_at) = (None, None);
        }
        looked?;
        self.loss().map_or(Ok(()), |words| Err(QueueError::Rejected(words)))
    }

    async fn look(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        match self.filled_at {
            None => self.make(topology, session).await?,
            Some(at) => match send_one(session, self.name(), SMALL).await? {
                Sent::Refused => self.stays(topology, session, at.elapsed()).await?,
                Sent::Taken => self.lose(topology, EXPIRED, at.elapsed() * 2),
                Sent::NoQueue => self.queue_was_deleted(topology),
            },
        }
        Ok(())
    }

    /// What loses messages, as far as was seen.
    pub(super) fn loss(&self) -> Option<String> {
        self.loss.as_ref().map(|loss| loss.words.clone())
    }

    async fn stays(&mut self, topology: &Topology, session: &Session, age: Duration) -> Result<(), QueueError> {
        if self.loss.as_ref().is_some_and(|loss| age >= loss.proof) {
            info!("the broker keeps what it has confirmed again");
            self.loss = None;
        }
        if self.loss.is_none() && age >= REFILL_AFTER {
            self.fill(topology, session).await?;
        }
        Ok(())
    }

    async fn make(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        if self.name.is_none() {
            self.name = Some(topology.new_canary_name(session).await?);
        }
        topology.declare_canary(session, self.name()).await?;
        self.fill(topology, session).await?;
        match send_one(session, self.name(), &vec![0; PUBLISHED_BYTES_MAX]).await? {
            Sent::Refused => {}
            Sent::Taken if self.filled_at.is_some() => self.lose(topology, EXPIRED, PROOF_MIN),
            // That was noticed already.
            Sent::Taken => {}
            Sent::NoQueue => self.queue_was_deleted(topology),
        }
        Ok(())
    }

    /// Empties the queue and fills it again.
    async fn fill(&mut self, topology: &Topology, session: &Session) -> Result<(), QueueError> {
        self.filled_at = None;
        if !topology.empty_canary(session, self.name()).await? {
            self.queue_was_deleted(topology);
            return Ok(());
        }
        let filled_at = Instant::now();
        let mut lane = Lane::open(session).await?;
        for _ in 0..FILL_MAX {
            let (open, sent) = send(lane, self.name(), SMALL).await?;
            match sent {
                Sent::Taken => lane = open.ok_or_else(|| no_answer("the channel has ended"))?,
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
        self.lose(topology, DROPPED, PROOF_MIN);
        Ok(())
    }

    fn lose(&mut self, topology: &Topology, effect: &str, proof: Duration) {
        let words = failure::of_policy(topology.prefix(), effect);
        if self.loss.is_none() {
            error!(why = words, "votes are refused: the broker would lose them");
        }
        self.loss = Some(Loss { words, proof: proof.max(PROOF_MIN) });
        self.filled_at = None;
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

async fn send_one(session: &Session, queue: &str, body: &[u8]) -> Result<Sent, QueueError> {
    // A channel on which a message was refused goes on refusing for a while by itself.
    let lane = Lane::open(session).await?;
    Ok(send(lane, queue, body).await?.1)
}

async fn send(lane: Lane, queue: &str, body: &[u8]) -> Result<(Option<Lane>, Sent), QueueError> {
    let (open, sent) = lane.send(Address::Queue(queue), body, Default::default(), Instant::now() + ANSWER_MAX).await;
    let sent = match sent {
        Ok(()) => Sent::Taken,
        Err(Unconfirmed::Refused) => Sent::Refused,
        Err(Unconfirmed::Returned(_)) => Sent::NoQueue,
        Err(Unconfirmed::Lost(source)) => return Err(failure::of_sending(source, body.len())),
        Err(other @ (Unconfirmed::NoAnswer | Unconfirmed::NotSent | Unconfirmed::NotAsked)) => {
            return Err(QueueError::Unavailable(Box::new(other)));
        }
    };
    Ok((open, sent))
}
