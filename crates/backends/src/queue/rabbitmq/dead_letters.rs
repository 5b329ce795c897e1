//! The messages that no worker could read: looked at, given to the workers once more, or thrown away.

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

use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};
use super::lane::{Address, Lane};
use super::topology::Contents;
use super::{Broker, SEND_MAX, next};
use crate::queue::message::{MessageKey, NotAMessage, decode_ballots};

/// The most messages that are gone through at once.
pub const SCAN_MAX: usize = 10_000;

/// How long nothing comes until it is asked whether there is anything left.
const PAUSE: Duration = Duration::from_secs(1);

/// How long is waited at the most for another who goes through the queue; the broker also needs a moment to take back what
/// was given back.
const OTHERS_MAX: Duration = Duration::from_secs(3);

/// How often it is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The header that says why a message was set aside.
pub(super) const WHY: &str = "x-throng-why";

/// The header in which the broker itself says why it gave up on a message.
const DEATHS: &str = "x-death";

/// The queue of messages that were set aside.
///
/// Each has an id made of its contents: what is there twice has one id, and is meant twice. What is looked at is given
/// back unchanged; while one looks, another doesn't see it.
#[derive(Debug)]
pub struct DeadLetters {
    broker: Broker,
    key: MessageKey,
    session: Session,
}

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: String,
    /// Why it was set aside.
    pub why: String,
    /// When, to the second; `None` if nobody noted it.
    pub set_aside_at: Option<Timestamp>,
    /// Its size.
    pub bytes: usize,
}

/// A message that was set aside, with all there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedLetter {
    /// What is known about it.
    pub letter: DeadLetter,
    /// Itself.
    pub body: Vec<u8>,
    /// What this Throng, which may be newer than the one that set it aside, makes of it.
    pub ballots: Result<Vec<Ballot>, NotAMessage>,
}

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// All that are there now.
    All,
    /// Those with these ids.
    Ids(&'a [String]),
}

impl DeadLetters {
    /// Connects.
    ///
    /// # Errors
    /// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
    pub async fn connect(broker: Broker, key: MessageKey) -> Result<Self, QueueError> {
        let session = Session::open(&broker.url, "dead letters").await?;
        broker.topology.establish(&session).await?;
        Ok(Self { broker, key, session })
    }

    /// The first `limit` of them, at most [`SCAN_MAX`].
    ///
    /// # Errors
    /// Where the broker doesn't answer.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let mut scan = self.scan(limit).await?;
        let mut letters = Vec::new();
        while let Some(message) = scan.next().await? {
            letters.push(DeadLetter::of(&message));
        }
        scan.end().await;
        Ok(letters)
    }

    /// The one named `id`; `None` if it isn't there.
    ///
    /// # Errors
    /// Where the broker doesn't answer.
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

    /// Gives them to the workers once more; returns how many. One that still can't be read comes back here.
    ///
    /// # Errors
    /// Where the broker doesn't answer, or its queue is full. Each is in one of the two queues all the same.
    pub async fn replay(&self, which: Selection<'_>) -> Result<usize, QueueError> {
        let mut lane = Lane::open(&self.session).await?;
        let mut scan = self.scan(SCAN_MAX).await?;
        let mut replayed = 0;
        while let Some(message) = scan.next().await? {
            if which.has(&message) {
                let to = Address::Queue(&self.broker.topology.ballots);
                let deadline = Instant::now() + SEND_MAX;
                let (open, sent) = lane.send(to, &message.data, BasicProperties::default(), deadline).await;
                sent?;
                lane = open.ok_or_else(|| no_answer("the lane has ended"))?;
                scan.remove(&message).await?;
                replayed += 1;
            }
        }
        scan.end().await;
        Ok(replayed)
    }

    /// Throws them away for good; returns how many.
    ///
    /// # Errors
    /// Where the broker doesn't answer.
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

    /// Takes letters with a consumer: for as long as one is there, a worker's look at the queues (see `looking`) knows that
    /// letters may be in somebody's hands.
    async fn scan(&self, limit: usize) -> Result<Scan<'_>, QueueError> {
        let (topology, channel) = (&self.broker.topology, self.session.channel().await?);
        // What is set aside meanwhile comes last, and isn't gone through: a replay would never end.
        let left = self.letters_alone(&channel).await?.min(limit).min(SCAN_MAX);
        let consuming = async {
            let unacknowledged_max = u16::try_from(left).unwrap_or(u16::MAX);
            channel.basic_qos(unacknowledged_max.max(1), BasicQosOptions::default()).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(topology.dead.as_str().into(), "".into(), options, arguments).await
        };
        let consumer = timeout(ANSWER_MAX, consuming).await.map_err(|_| no_answer("it doesn't deliver"))?;
        let consumer = consumer.map_err(failure::unavailable)?;
        Ok(Scan { letters: self, channel, consumer, left })
    }

    /// How many there are once nobody goes through them, or after a while.
    async fn letters_alone(&self, channel: &Channel) -> Result<usize, QueueError> {
        let (topology, until) = (&self.broker.topology, Instant::now() + OTHERS_MAX);
        loop {
            let Contents { messages, consumers } = topology.inspect(channel, &topology.dead).await?;
            if consumers == 0 || Instant::now() >= until {
                return Ok(messages as usize);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Going through the queue once. What isn't removed is given back when it ends.
struct Scan<'a> {
    letters: &'a DeadLetters,
    channel: Channel,
    consumer: Consumer,
    left: usize,
}

impl Scan<'_> {
    async fn next(&mut self) -> Result<Option<Delivery>, QueueError> {
        if self.left == 0 {
            return Ok(None);
        }
        let delivered = match timeout(PAUSE, next(Pin::new(&mut self.consumer))).await {
            Ok(delivered) => delivered.ok_or_else(|| no_answer("the broker has ended the subscription"))?,
            Err(_) => return self.end_of_letters().await,
        };
        self.left -= 1;
        delivered.map(Some).map_err(failure::unavailable)
    }

    /// Where another who goes through them, or removes them, has had some of them: none is left.
    async fn end_of_letters(&self) -> Result<Option<Delivery>, QueueError> {
        let topology = &self.letters.broker.topology;
        match topology.inspect(&self.channel, &topology.dead).await?.messages {
            0 => Ok(None),
            _ => Err(no_answer("it doesn't deliver")),
        }
    }

    async fn remove(&self, message: &Delivery) -> Result<(), QueueError> {
        let telling = self.channel.basic_ack(message.delivery_tag, BasicAckOptions::default());
        let told = timeout(ANSWER_MAX, telling).await.map_err(|_| no_answer("it doesn't read what it is sent"))?;
        told.map_err(failure::unavailable)
    }

    /// The broker has taken the rest back when this returns, or takes it back when the connection ends.
    async fn end(self) {
        let _ = timeout(ANSWER_MAX, self.channel.close(200, "OK".into())).await;
        if let Ok(channel) = self.letters.session.channel().await {
            let _ = self.letters.letters_alone(&channel).await;
            let _ = timeout(ANSWER_MAX, channel.close(200, "OK".into())).await;
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

/// A message's name: the beginning of its contents' SHA-256.
pub(super) fn id_of(body: &[u8]) -> String {
    Sha256::digest(body)[..8].iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// Why a message was set aside: in a worker's words, or because the broker gave up on it.
fn why(message: &Delivery) -> Option<String> {
    let headers = message.properties.headers().as_ref()?.inner();
    if let Some(AMQPValue::LongString(words)) = headers.get(WHY) {
        return Some(words.to_string());
    }
    let AMQPValue::FieldArray(deaths) = headers.get(DEATHS)? else { return None };
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    let AMQPValue::LongString(reason) = death.inner().get("reason")? else { return None };
    Some(format!("the broker gave up on it: {reason}"))
}
