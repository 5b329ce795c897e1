//! What the queues contain: their depth, and the check that they are empty.

use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use throng_domain::queue::{Messages, QueueError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use super::topology::{BrokerConfig, Topology};

/// Reads the queue depth, on a connection of its own that is opened on demand.
#[derive(Debug)]
pub struct Depth {
    broker: BrokerConfig,
    connection: Mutex<Option<(Session, Channel)>>,
}

impl Depth {
    /// Doesn't connect yet.
    pub fn new(broker: BrokerConfig) -> Self {
        Self { broker, connection: Mutex::default() }
    }

    /// The current numbers, by passive declares: the management plugin isn't needed. `None` if the broker doesn't respond
    /// within a few seconds.
    pub async fn messages(&self) -> Option<Messages> {
        let mut connection = self.connection.lock().await;
        // Taken out meanwhile: after an error, or if this future is dropped, the next call reconnects.
        let count = async {
            let (session, channel) = match connection.take().filter(|(session, _)| session.is_open()) {
                Some(connected) => connected,
                None => self.connect().await?,
            };
            let topology = &self.broker.topology;
            let ballots = inspect(&channel, &topology.ballots).await?;
            let dead = inspect(&channel, &topology.dead).await?;
            *connection = Some((session, channel));
            let Contents { messages, consumers } = ballots;
            Ok::<_, QueueError>(Messages {
                ballots: messages.into(),
                dead: dead.messages.into(),
                consumers: consumers.into(),
            })
        };
        count.await.ok()
    }

    async fn connect(&self) -> Result<(Session, Channel), QueueError> {
        let session = Session::open(&self.broker.url, "queue depth").await?;
        let channel = session.channel().await?;
        Ok((session, channel))
    }
}

/// The result of [`check_empty`].
#[derive(Debug)]
pub(super) enum QueueState {
    /// No message is ready and no dead letter exists; the ballots' queue has this many consumers.
    Empty { consumers: u64 },
    /// Messages are ready, or dead letters exist or are being scanned, or a queue's leader is unreachable.
    NotEmpty,
    /// This message was ready, and is delivered now.
    Message(Box<Delivery>),
}

/// The empty check of [`throng_domain::rounds`]: checks both queues, on the channel of a consumer of the ballots.
///
/// Dead letters come first: `throng dead replay` moves them to the ballots' queue, and whatever is moved before the check of
/// the dead letters is counted by the next request.
///
/// A queue's message and consumer counts come from its leader; if that is unreachable, both are reported as 0. The ballots'
/// queue has at least one consumer, this one, so that 0 identifies this case. For the dead letters a `basic.get` in between
/// proves that the leader responds, since no other member can respond to it.
///
/// Consumers are counted before the `basic.get` and after it: one that was added or removed in between may have requeued or
/// taken a ballot.
///
/// The broker handles a channel's requests in order. Whatever it had delivered before its response to one request is sent
/// before its response to the next: so all deliveries that preceded the count of the ballots have arrived when this returns.
///
/// # Errors
/// If the broker doesn't respond, or delivers a dead letter that wasn't counted: then the connection has to be closed, which
/// requeues it, so that concurrent checks see it too.
pub(super) async fn check_empty(topology: &Topology, channel: &Channel) -> Result<QueueState, QueueError> {
    if !has_no_dead_letters(topology, channel).await? {
        return Ok(QueueState::NotEmpty);
    }
    if get(channel, &topology.dead).await?.is_some() {
        return Err(unavailable_because("the dead-letter queue has a message that wasn't counted"));
    }
    if !has_no_dead_letters(topology, channel).await? {
        return Ok(QueueState::NotEmpty);
    }
    let Contents { messages, consumers } = inspect(channel, &topology.ballots).await?;
    if messages > 0 || consumers == 0 {
        return Ok(QueueState::NotEmpty);
    }
    if let Some(message) = get(channel, &topology.ballots).await? {
        return Ok(QueueState::Message(Box::new(message)));
    }
    match inspect(channel, &topology.ballots).await? {
        Contents { messages: 0, consumers: same } if same == consumers => {
            Ok(QueueState::Empty { consumers: consumers.into() })
        }
        Contents { .. } => Ok(QueueState::NotEmpty),
    }
}

/// Whether there are no dead letters, and no consumer that scans them and could hold some.
async fn has_no_dead_letters(topology: &Topology, channel: &Channel) -> Result<bool, QueueError> {
    let Contents { messages, consumers } = inspect(channel, &topology.dead).await?;
    Ok(messages == 0 && consumers == 0)
}

/// What the broker reports about a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    /// The messages ready for delivery, without those delivered and unacknowledged.
    pub(super) messages: u32,
    pub(super) consumers: u32,
}

/// The numbers of messages and consumers of a queue.
pub(super) async fn inspect(channel: &Channel, queue: &str) -> Result<Contents, QueueError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match timeout(RESPONSE_MAX, channel.queue_declare(queue.into(), passive, FieldTable::default())).await {
        Ok(Ok(queue)) => Ok(Contents { messages: queue.message_count(), consumers: queue.consumer_count() }),
        Ok(Err(error)) => Err(failure::unavailable(error)),
        Err(_) => Err(unavailable_because("timed out reading the size of a queue")),
    }
}

/// Gets the first message of a queue, if there is one. Only the queue's leader can respond.
async fn get(channel: &Channel, queue: &str) -> Result<Option<Delivery>, QueueError> {
    match timeout(RESPONSE_MAX, channel.basic_get(queue.into(), BasicGetOptions::default())).await {
        Ok(Ok(got)) => Ok(got.map(|message| message.delivery)),
        Ok(Err(error)) => Err(failure::unavailable(error)),
        Err(_) => Err(unavailable_because("timed out getting a message")),
    }
}
