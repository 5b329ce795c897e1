//! The messages that no worker could read: listed, replayed, or dropped.

use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Consumer};
use sha2::{Digest, Sha256};
use throng_domain::ballot::Ballot;
use throng_domain::clock::Timestamp;
use throng_domain::queue::QueueError;
use tokio::time::{Instant, sleep, timeout};

use super::confirm_channel::{Address, ConfirmChannel};
use super::connection::{RESPONSE_MAX, Session, next};
use super::failure::{self, unavailable_because};
use super::inspection::{Contents, inspect};
use super::topology::BrokerConfig;
use crate::queue::message::{MessageKey, NotAMessage, decode_ballots};

/// The maximum number of messages per scan.
pub const SCAN_MAX: usize = 10_000;

/// How long to wait for the next message before checking whether the queue is empty.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long to wait for another scan to end, and for the broker to requeue its messages.
const OTHER_SCAN_MAX: Duration = Duration::from_secs(3);

/// The interval of checks meanwhile.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// The header with the reason why a message was set aside.
pub(super) const WHY: &str = "x-throng-why";

/// The broker's own header with the reason why it dead-lettered a message.
const DEATHS: &str = "x-death";

/// The dead-letter queue: messages that were set aside.
///
/// A message's id is derived from its contents: duplicates share one id, and operations on it apply to all of them. Listing
/// requeues messages unchanged; during a scan they are invisible to others.
#[derive(Debug)]
pub struct DeadLetters {
    broker: BrokerConfig,
    key: MessageKey,
    session: Session,
}

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, derived from its contents.
    pub id: String,
    /// Why it was set aside.
    pub why: String,
    /// When, to the second; `None` if not recorded.
    pub set_aside_at: Option<Timestamp>,
    /// The size of its body.
    pub bytes: usize,
}

/// A message that was set aside, with its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedLetter {
    /// Its description.
    pub letter: DeadLetter,
    /// Its body.
    pub body: Vec<u8>,
    /// The result of decoding it with this version of Throng, which may be newer than the one that set it aside.
    pub ballots: Result<Vec<Ballot>, NotAMessage>,
}

/// A selection of messages.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// All that exist at present.
    All,
    /// Those with these ids.
    Ids(&'a [String]),
}

impl DeadLetters {
    /// Connects and declares the topology.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
    /// can't be reached.
    pub async fn connect(broker: BrokerConfig, key: MessageKey) -> Result<Self, QueueError> {
        let session = Session::open(&broker.url, "dead letters").await?;
        broker.topology.establish(&session).await?;
        Ok(Self { broker, key, session })
    }

    /// Lists the first `limit` messages, at most [`SCAN_MAX`].
    ///
    /// # Errors
    /// If the broker doesn't respond.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let mut scan = self.scan(limit).await?;
        let mut letters = Vec::new();
        while let Some(message) = scan.next().await? {
            letters.push(DeadLetter::of(&message));
        }
        scan.end().await;
        Ok(letters)
    }

    /// The message with this `id`; `None` if it doesn't exist.
    ///
    /// # Errors
    /// If the broker doesn't respond.
    pub async fn show(&self, id: &str) -> Result<Option<OpenedLetter>, QueueError> {
        let mut scan = self.scan(SCAN_MAX).await?;
        let mut found = None;
        while found.is_none()
            && let Some(message) = scan.next().await?
        {
            let letter = DeadLetter::of(&message);
            found = (letter.id == id).then(|| OpenedLetter {
                letter,
                ballots: decode_ballots(&self.key, &message.data),
                body: message.data,
            });
        }
        scan.end().await;
        Ok(found)
    }

    /// Moves messages back to the ballots' queue; returns how many. One that is still unreadable is set aside again.
    ///
    /// # Errors
    /// If the broker doesn't respond, or its queue is full. No message is lost: each is in at least one of the two queues.
    pub async fn replay(&self, which: Selection<'_>) -> Result<usize, QueueError> {
        let mut channel = ConfirmChannel::open(&self.session).await?;
        let mut scan = self.scan(SCAN_MAX).await?;
        let mut replayed = 0;
        while let Some(message) = scan.next().await? {
            if which.has(&message) {
                let to = Address::Queue(&self.broker.topology.ballots);
                let deadline = Instant::now() + self.broker.url.confirm_max;
                let (open, sent) = channel.send(to, &message.data, BasicProperties::default(), deadline).await;
                sent?;
                channel = open.ok_or_else(|| unavailable_because("the channel is closed"))?;
                scan.remove(&message).await?;
                replayed += 1;
            }
        }
        scan.end().await;
        Ok(replayed)
    }

    /// Deletes messages permanently; returns how many.
    ///
    /// # Errors
    /// If the broker doesn't respond.
    pub async fn drop(&self, which: Selection<'_>) -> Result<usize, QueueError> {
        let mut scan = self.scan(SCAN_MAX).await?;
        let mut dropped = 0;
        while let Some(message) = scan.next().await? {
            if which.has(&message) {
                scan.remove(&message).await?;
                dropped += 1;
            }
        }
        scan.end().await;
        Ok(dropped)
    }

    /// Scans with a consumer, because a scan may hold messages: the consumer is visible to the workers' check that the queues
    /// are empty (see `inspection`).
    async fn scan(&self, limit: usize) -> Result<Scan<'_>, QueueError> {
        let (topology, channel) = (&self.broker.topology, self.session.channel().await?);
        // Messages that are set aside meanwhile are last, and not scanned: otherwise a replay might never end.
        let left = self.count_when_unscanned(&channel).await?.min(limit).min(SCAN_MAX);
        let consuming = async {
            let unacknowledged_max = u16::try_from(left).unwrap_or(u16::MAX);
            channel.basic_qos(unacknowledged_max.max(1), BasicQosOptions::default()).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(topology.dead.as_str().into(), "".into(), options, arguments).await
        };
        let consumer = timeout(RESPONSE_MAX, consuming).await;
        let consumer = consumer.map_err(|_| unavailable_because("timed out starting a consumer"))?;
        let consumer = consumer.map_err(failure::unavailable)?;
        Ok(Scan { dead_letters: self, channel, consumer, left })
    }

    /// The number of messages once no other scan holds any, or after [`OTHER_SCAN_MAX`].
    async fn count_when_unscanned(&self, channel: &Channel) -> Result<usize, QueueError> {
        let (topology, until) = (&self.broker.topology, Instant::now() + OTHER_SCAN_MAX);
        loop {
            let Contents { messages, consumers } = inspect(channel, &topology.dead).await?;
            if consumers == 0 || Instant::now() >= until {
                return Ok(messages as usize);
            }
            sleep(CHECK_EVERY).await;
        }
    }
}

/// One pass over the queue. Messages that aren't removed are requeued when it ends.
struct Scan<'a> {
    dead_letters: &'a DeadLetters,
    channel: Channel,
    consumer: Consumer,
    left: usize,
}

impl Scan<'_> {
    async fn next(&mut self) -> Result<Option<Delivery>, QueueError> {
        if self.left == 0 {
            return Ok(None);
        }
        let delivered = match timeout(DELIVERY_WAIT_MAX, next(Pin::new(&mut self.consumer))).await {
            Ok(delivered) => delivered.ok_or_else(|| unavailable_because("the broker cancelled the consumer"))?,
            Err(_) => return self.end_of_queue().await,
        };
        self.left -= 1;
        delivered.map(Some).map_err(failure::unavailable)
    }

    /// The end, if the queue is empty: another scan holds or has removed the expected messages.
    async fn end_of_queue(&self) -> Result<Option<Delivery>, QueueError> {
        let topology = &self.dead_letters.broker.topology;
        match inspect(&self.channel, &topology.dead).await?.messages {
            0 => Ok(None),
            _ => Err(unavailable_because("timed out waiting for a message")),
        }
    }

    async fn remove(&self, message: &Delivery) -> Result<(), QueueError> {
        let acknowledging = self.channel.basic_ack(message.delivery_tag, BasicAckOptions::default());
        let acknowledged = timeout(RESPONSE_MAX, acknowledging).await;
        let acknowledged = acknowledged.map_err(|_| unavailable_because("timed out sending an acknowledgement"))?;
        acknowledged.map_err(failure::unavailable)
    }

    /// The broker has requeued the remaining messages when this returns, or requeues them when the connection is closed.
    async fn end(self) {
        let _ = timeout(RESPONSE_MAX, self.channel.close(200, "OK".into())).await;
        if let Ok(channel) = self.dead_letters.session.channel().await {
            let _ = self.dead_letters.count_when_unscanned(&channel).await;
            let _ = timeout(RESPONSE_MAX, channel.close(200, "OK".into())).await;
        }
    }
}

impl DeadLetter {
    fn of(message: &Delivery) -> Self {
        let seconds = message.properties.timestamp().and_then(|seconds| i64::try_from(seconds).ok());
        Self {
            id: id_of(&message.data),
            why: why(message).unwrap_or_else(|| "nobody noted why".to_owned()),
            set_aside_at: seconds.map(|seconds| Timestamp(seconds.saturating_mul(1_000))),
            bytes: message.data.len(),
        }
    }
}

impl Selection<'_> {
    fn has(&self, message: &Delivery) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&id_of(&message.data)),
        }
    }
}

/// The id of a message: the beginning of the SHA-256 of its body.
pub(super) fn id_of(body: &[u8]) -> String {
    Sha256::digest(body)[..8].iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// Why a message was set aside by a worker, or dead-lettered by the broker.
fn why(message: &Delivery) -> Option<String> {
    let headers = message.properties.headers().as_ref()?.inner();
    if let Some(AMQPValue::LongString(why)) = headers.get(WHY) {
        return Some(why.to_string());
    }
    let AMQPValue::FieldArray(deaths) = headers.get(DEATHS)? else { return None };
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    let AMQPValue::LongString(reason) = death.inner().get("reason")? else { return None };
    Some(format!("the broker gave up on it: {reason}"))
}
