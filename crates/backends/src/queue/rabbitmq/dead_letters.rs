//! The messages that no worker could read: looked at, given to the workers once more, or thrown away.

use std::fmt::Write as _;

use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Channel};
use sha2::{Digest, Sha256};
use throng_domain::ballot::Ballot;
use throng_domain::clock::Timestamp;
use throng_domain::queue::QueueError;
use tokio::time::{Instant, timeout};

use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};
use super::lane::{Address, Lane};
use super::{Broker, SEND_MAX};
use crate::queue::message::{MessageKey, NotAMessage, decode_ballots};

/// The most messages that are gone through at once.
pub const SCAN_MAX: usize = 10_000;

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

    async fn scan(&self, limit: usize) -> Result<Scan<'_>, QueueError> {
        let channel = self.session.channel().await?;
        Ok(Scan { queue: &self.broker.topology.dead, channel, left: limit.min(SCAN_MAX) })
    }
}

/// Going through the queue once. What isn't removed is given back when it ends.
struct Scan<'a> {
    queue: &'a str,
    channel: Channel,
    left: usize,
}

impl Scan<'_> {
    async fn next(&mut self) -> Result<Option<Delivery>, QueueError> {
        if self.left == 0 {
            return Ok(None);
        }
        let getting = self.channel.basic_get(self.queue.into(), BasicGetOptions::default());
        let got = timeout(ANSWER_MAX, getting).await.map_err(|_| no_answer("it doesn't deliver"))?;
        let Some(BasicGetMessage { delivery, message_count }) = got.map_err(failure::unavailable)? else {
            return Ok(None);
        };
        // What is set aside meanwhile comes last, and isn't gone through: a replay would never end.
        self.left = (self.left - 1).min(message_count as usize);
        Ok(Some(delivery))
    }

    async fn remove(&self, message: &Delivery) -> Result<(), QueueError> {
        let telling = self.channel.basic_ack(message.delivery_tag, BasicAckOptions::default());
        let told = timeout(ANSWER_MAX, telling).await.map_err(|_| no_answer("it doesn't read what it is sent"))?;
        told.map_err(failure::unavailable)
    }

    /// The broker has taken the rest back when this returns, or takes it back when the connection ends.
    async fn end(self) {
        let _ = timeout(ANSWER_MAX, self.channel.close(200, "OK".into())).await;
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
