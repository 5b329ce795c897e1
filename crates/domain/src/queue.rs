//! The seam behind which a broker stands, between the nodes that take ballots and the workers that record them.
//!
//! It delivers at least once, in no promised order: a ballot may come again, after a crash, an outage or a confirm
//! that was lost, and [`Store::record`](crate::store::Store::record) makes that harmless. What a broker must never do
//! is lose one that it confirmed.
//!
//! Each role has a seam of its own, so that a web node can't consume and a worker can't publish by accident. Every
//! one of them comes back by itself after any outage of the broker.

use async_trait::async_trait;

use crate::ballot::Ballot;
pub use crate::store::Source;
use crate::tally::Tallies;

/// Puts ballots on the queue, from one runtime.
#[async_trait]
pub trait Publisher: Send + Sync + std::fmt::Debug {
    /// One message with these ballots; returns once the broker has confirmed that it is durable, on a majority's disks.
    ///
    /// - **Durable**: after `Ok` they will be delivered, whichever processes die and whatever loses power.
    /// - **Prompt**: answers within a few seconds, however the broker behaves; a broker known to be away or blocked is
    ///   [`QueueError::Unavailable`] at once.
    /// - **Concurrent**: calls may overlap; several messages are then on their way at a time.
    ///
    /// Dropping the future leaves it unknown whether the message was taken.
    ///
    /// # Errors
    /// After [`QueueError::Unavailable`] and [`QueueError::Rejected`] nothing was taken. After [`QueueError::Unknown`]
    /// the ballots may be delivered or not; publishing them again is harmless.
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError>;

    /// Why a batch would not be published now, as far as is known: the broker is away, blocked by an alarm, or would lose
    /// what it confirms.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where somebody has to change the broker; says how. [`QueueError::Unavailable`] where it may
    /// pass by itself.
    fn refusal(&self) -> Result<(), QueueError>;

    /// Whether a batch could be published now, as far as is known. What `/readyz` says.
    fn is_ready(&self) -> bool {
        self.refusal().is_ok()
    }

    /// Takes leave of the broker, once nothing more is to be published.
    async fn close(&self);
}

/// Takes ballots off the queue, for one worker.
#[async_trait]
pub trait BallotConsumer: Send + std::fmt::Debug {
    /// Makes ready for [`next`](Self::next), which is called after it each time: connects again, across any outage of the
    /// broker, and sets aside what can't be read. Nothing is to be done most of the time, and then it returns at once.
    ///
    /// Dropping the future loses nothing, but what it was at begins anew the next time: whoever drops it whenever something
    /// else is due may never get to the end of it.
    async fn prepare(&mut self);

    /// The next messages, with at most `ballots_max` ballots altogether (a single message may be larger). Waits for the first
    /// and not for more. None where there is something to [`prepare`](Self::prepare), as after the connection was lost.
    ///
    /// A delivery that is never [`done`](Self::done) stays with this worker until its connection or its process ends,
    /// then it is delivered again, to this worker or another. So a worker that can't record keeps what it has, tries
    /// again, and simply asks for no more.
    ///
    /// A message that can't be read is never seen here: it is set aside, where an operator finds it.
    ///
    /// Dropping the future loses nothing: it may be dropped as often as something else is due.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] alone, where waiting is of no use.
    async fn next(&mut self, ballots_max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Tells the broker that these were dealt with for good. If the connection they came on is gone they will come
    /// again; that is no error.
    async fn done(&mut self, tags: &[DeliveryTag]) -> Result<(), QueueError>;

    /// The name by which nodes and workers on one database know the queue that its connection is at: see
    /// [`rounds`](crate::rounds). At most [`QUEUE_NAME_MAX`](crate::rounds::QUEUE_NAME_MAX) bytes.
    fn queue(&self) -> &str;

    /// Which of its connections messages come on, counted from 1; `None` while there is none.
    fn generation(&self) -> Option<u64>;

    /// Looks whether nothing waits for any consumer and nothing was set aside: see [`rounds`](crate::rounds). Only what the
    /// queue's leader says is taken for an answer. `None` if something is there, somebody goes through what was set aside,
    /// or it isn't known.
    ///
    /// A message that is found waiting is one more delivery, which [`next`](Self::next) gives. A look that fails, or is dropped,
    /// loses nothing but the connection, which [`generation`](Self::generation) then says.
    async fn look(&mut self) -> Option<Look>;

    /// From now on, all that was delivered by this moment is what has to be recorded for this look.
    async fn bound(&mut self, look: &mut Look);

    /// What has become of that.
    fn follow(&self, look: &Look) -> Followed;
}

/// A look that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// On which connection it was.
    pub generation: u64,
    /// The consumers of the queue, this one included.
    pub consumers: u64,
    /// How many messages had been found on that connection that can't be read.
    pub unreadable: u64,
    /// The number of the last message delivered on it.
    pub last: u64,
}

/// What has become of what was delivered before a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// All of it was recorded, and the broker was told.
    Recorded,
    /// Some of it is still to be recorded.
    Waits,
    /// It can't be told any more: the connection was lost, or there was something that can't be read.
    Void,
}

/// One message's ballots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The broker's name for it.
    pub tag: DeliveryTag,
    /// What was published together.
    pub ballots: Vec<Ballot>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
}

/// The name of a delivery: it means something on the connection it came on, and nothing after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTag {
    /// Which of this consumer's connections it came on, counted from 1.
    pub generation: u64,
    /// Its number on that connection, from 1, in the order of delivery.
    pub number: u64,
}

/// Sends tallies that have changed to all nodes. Lossy by design: nothing waits for a node that isn't connected, since the next
/// message replaces a lost one.
#[async_trait]
pub trait ResultPublisher: Send + Sync + std::fmt::Debug {
    /// Sends to all connected nodes. Messages may arrive in another order; the `seq` of tallies says which are newer.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] where it has certainly reached no node, [`QueueError::Rejected`] where it never will.
    async fn publish(&self, tallies: &[Tallies]) -> Result<(), QueueError>;
}

/// Receives the tallies that workers send, for one node.
#[async_trait]
pub trait ResultSubscriber: Send + std::fmt::Debug {
    /// The next message. Waits across outages, during which messages may be missed. Dropping the future loses nothing.
    async fn next(&mut self) -> Vec<Tallies>;
}

/// Why a queue couldn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It can't be reached, is full, or takes nothing for now. Nothing was taken; the same call may succeed later.
    #[error("the queue is not available: {0}")]
    Unavailable(#[source] Source),
    /// It was sent, and no answer came: it may have been taken. Sending it again is harmless.
    #[error("the queue didn't answer: {0}")]
    Unknown(#[source] Source),
    /// What was asked can't be done, now or later: a wrong password, a queue declared otherwise. Says what to do.
    #[error("{0}")]
    Rejected(String),
}
