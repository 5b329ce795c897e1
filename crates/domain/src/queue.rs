//! The interfaces to a broker between the nodes that accept ballots and the workers that record them.
//!
//! Delivery is at least once, in no guaranteed order: a ballot may be delivered again after a crash, an outage or a
//! lost confirm, and [`BallotStore::record`](crate::store::BallotStore::record) makes that harmless. A broker must never lose a
//! ballot that it confirmed.
//!
//! Each role has a trait of its own, so that a web node can't consume and a worker can't publish by accident. Every
//! implementation recovers by itself from any outage of the broker.

use async_trait::async_trait;

use crate::ballot::Ballot;
pub use crate::store::Source;
use crate::tally::Tallies;

/// Publishes ballots to the queue, from one runtime.
#[async_trait]
pub trait Publisher: Send + Sync + std::fmt::Debug {
    /// Publishes one message with these ballots; returns once the broker has confirmed that it is durable, on the disks
    /// of a majority.
    ///
    /// - **Durable**: after `Ok` they will be delivered, whichever processes die and whichever machines lose power.
    /// - **Prompt**: returns within a few seconds, however the broker behaves; while the broker is known to be
    ///   unavailable or blocked, returns [`QueueError::Unavailable`] at once.
    /// - **Concurrent**: calls may overlap; several messages are then in flight at a time.
    ///
    /// Dropping the future leaves it unknown whether the message was accepted.
    ///
    /// # Errors
    /// After [`QueueError::Unavailable`] and [`QueueError::Rejected`] nothing was accepted. After
    /// [`QueueError::Unknown`] the ballots may be delivered or not; publishing them again is harmless.
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError>;

    /// Why a batch would not be published now, as far as is known: the broker is unavailable, blocked by an alarm, or
    /// would lose what it confirms. `Ok` if it would be.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where an operator has to change the broker; the message says how.
    /// [`QueueError::Unavailable`] where the condition may pass by itself.
    fn refusal(&self) -> Result<(), QueueError>;

    /// Whether a batch could be published now, as far as is known. `/readyz` reports this.
    fn is_ready(&self) -> bool {
        self.refusal().is_ok()
    }

    /// Closes the connection to the broker, once nothing more is to be published.
    async fn close(&self);
}

/// Consumes ballots from the queue, for one worker.
#[async_trait]
pub trait BallotConsumer: Send + std::fmt::Debug {
    /// Prepares for [`next`](Self::next), which is called after it each time: reconnects, across any outage of the
    /// broker, and sets unreadable messages aside. Usually there is nothing to do, and it returns at once.
    ///
    /// Dropping the future loses nothing, but the unfinished work starts over with the next call: a caller that drops
    /// it whenever other work is due may never complete it.
    async fn prepare(&mut self);

    /// The next messages, with at most `ballots_max` ballots altogether (a single message may be larger). Waits for the first
    /// message only. Empty where there is something to [`prepare`](Self::prepare), as after the connection was lost.
    ///
    /// A delivery that is never [`done`](Self::done) stays with this worker until its connection or its process ends,
    /// then it is delivered again, to this worker or another. So a worker that can't record keeps its deliveries,
    /// retries, and requests no more.
    ///
    /// An unreadable message is never returned: it is set aside, where an operator finds it.
    ///
    /// Dropping the future loses nothing, however often it is dropped.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] only, where waiting is of no use.
    async fn next(&mut self, ballots_max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Acknowledges these deliveries to the broker: they are handled for good. If their connection was lost they will
    /// be delivered again; that is no error.
    async fn done(&mut self, tags: &[DeliveryTag]) -> Result<(), QueueError>;

    /// The name by which nodes and workers on one database identify the queue of its connection: see
    /// [`rounds`](crate::rounds). At most [`QUEUE_NAME_MAX`](crate::rounds::QUEUE_NAME_MAX) bytes.
    fn queue(&self) -> &str;

    /// The number of its current connection, counted from 1; `None` while there is none.
    fn generation(&self) -> Option<u64>;

    /// The empty check: whether no message is ready for any consumer and none was set aside: see
    /// [`rounds`](crate::rounds). Only a response of the queue's leader counts. `None` if there is such a message, if a
    /// client reads those set aside, or if it isn't known.
    ///
    /// A ready message that the check finds is one more delivery, which [`next`](Self::next) returns. A check that
    /// fails or is dropped loses nothing but the connection, which [`generation`](Self::generation) then shows.
    async fn check_empty(&mut self) -> Option<EmptyCheck>;

    /// Sets what has to be recorded for this check: everything delivered until now.
    async fn set_bound(&mut self, check: &mut EmptyCheck);

    /// The state of the deliveries that this check covers.
    fn progress(&self, check: &EmptyCheck) -> CheckProgress;
}

/// An empty check that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyCheck {
    /// The connection on which the check was made.
    pub generation: u64,
    /// The number of the queue's consumers, this one included.
    pub consumers: u64,
    /// How many unreadable messages had been found on that connection.
    pub unreadable: u64,
    /// The number of the last message delivered on it.
    pub last: u64,
}

/// The state of the deliveries before an empty check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckProgress {
    /// All of them were recorded and acknowledged to the broker.
    Recorded,
    /// Some of them are still to be recorded.
    Pending,
    /// It can no longer be determined: the connection was lost, or a message was unreadable.
    Invalid,
}

/// One message's ballots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The broker's identifier for it.
    pub tag: DeliveryTag,
    /// The ballots that were published together.
    pub ballots: Vec<Ballot>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
}

/// The identifier of a delivery, valid only on the connection on which it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTag {
    /// The number of this consumer's connection, counted from 1.
    pub generation: u64,
    /// Its number on that connection, from 1, in order of delivery.
    pub number: u64,
}

/// Sends changed tallies to all nodes. Lossy by design: nothing waits for a node that isn't connected, since the next
/// message replaces a lost one.
#[async_trait]
pub trait ResultPublisher: Send + Sync + std::fmt::Debug {
    /// Sends to all connected nodes. Messages may arrive in another order; the `seq` of tallies determines which are newer.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] where it certainly reached no node, [`QueueError::Rejected`] where it never will.
    async fn publish(&self, tallies: &[Tallies]) -> Result<(), QueueError>;
}

/// Receives the tallies that workers send, for one node.
#[async_trait]
pub trait ResultSubscriber: Send + std::fmt::Debug {
    /// The next message. Waits across outages, during which messages may be missed. Dropping the future loses nothing.
    async fn next(&mut self) -> Vec<Tallies>;
}

/// The numbers of messages and consumers at a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Messages of ballots that are ready for delivery, without those delivered and unacknowledged.
    pub ballots: u64,
    /// Messages that no worker could read.
    pub dead: u64,
    /// Consumers of the ballots' queue, one for each connection of each worker. Without any, nothing is recorded.
    pub consumers: u64,
}

/// Why a call to a queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It can't be reached, is full, or accepts nothing for now. Nothing was accepted; the same call may succeed later.
    #[error("the queue is not available: {0}")]
    Unavailable(#[source] Source),
    /// It was sent, and no response arrived: it may have been accepted. Sending it again is harmless.
    #[error("the queue didn't respond: {0}")]
    Unknown(#[source] Source),
    /// The request can't be fulfilled, now or later: a wrong password, a queue declared with other arguments. The
    /// message says what to do.
    #[error("{0}")]
    Rejected(String),
}
