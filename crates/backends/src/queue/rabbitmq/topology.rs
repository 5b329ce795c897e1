//! The queues and exchanges that Throng has on a broker.

use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use throng_domain::queue::QueueError;
use tokio::time::{sleep, timeout};

use super::connection::{ANSWER_MAX, Session};
use super::failure::{self, no_answer};

/// What may wait to be recorded, in bytes: some 200 million ballots. Beyond it ballots are refused, none is dropped.
const BALLOTS_BYTES_MAX: i64 = 8 * 1024 * 1024 * 1024;

/// The messages that may wait to be recorded; the broker keeps some memory for each of them.
const BALLOTS_MESSAGES_MAX: i64 = 10_000_000;

/// What may be set aside, in bytes. Beyond it messages that can't be read stay where they are.
const DEAD_BYTES_MAX: i64 = 1024 * 1024 * 1024;

/// How often a message may come back before the broker gives up on it: never, as far as it lets us say so. Brokers of
/// version 4 give up after 20 times where nothing is said, which a worker that crashes over and over would reach.
const DELIVERIES_MAX: i64 = 1_000_000_000;

/// How long a queue must have been there before a message in it is durable. RabbitMQ keeps the names of quorum queues in a file
/// (ra's `names.dets`) that it writes half a second after the last change: one that is killed before then starts again with
/// the queue there and empty, and confirmed messages are gone.
const SETTLE: Duration = Duration::from_secs(2);

/// How long it takes until a queue is made that isn't there: somebody may have deleted it. RabbitMQ tells a deleted queue's
/// consumers that it is gone, but not at once: where another one of that name is made before, they hang on to it, and are
/// delivered nothing.
const FORGET: Duration = Duration::from_secs(1);

/// How long the canary of a node that is gone stays.
const CANARY_EXPIRES_MS: i32 = 5 * 60 * 1_000;

/// The messages with tallies that wait for a node; the oldest are dropped for new ones.
const RESULTS_MAX: i64 = 64;

/// The names of what Throng has on the broker, and its bounds.
///
/// | name | is | has |
/// |---|---|---|
/// | `{prefix}.ballots` | durable quorum queue | what wasn't recorded yet |
/// | `{prefix}.dead` | durable quorum queue | what no worker could read |
/// | `{prefix}.results` | fanout exchange | nothing; each node hangs a queue of its own on it |
/// | `{prefix}.canary.…` | durable quorum queue, one for each node | messages that nobody takes: see [`canary`](super::canary) |
/// | `{prefix}.settled` | exchange | nothing; it says that the queues are there to stay |
///
/// A confirm of a quorum queue says that the message is on the disks of a majority; that of a classic queue doesn't.
///
/// The broker compares all arguments of a queue with those it was made with: whoever changes one below makes every
/// queue that exists one "declared otherwise", which an operator has to empty and delete. A policy can lower the bounds of
/// a queue that is there; with one that replaces `overflow`, or has messages or queues expire, votes are refused.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    pub(super) ballots: String,
    pub(super) dead: String,
    pub(super) results: String,
    settled: String,
    ballots_messages_max: i64,
}

/// What the broker says of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    /// The messages that are ready to be taken: not those that a consumer has and didn't acknowledge.
    pub(super) messages: u32,
    pub(super) consumers: u32,
}

impl Topology {
    /// The one whose names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ballots: format!("{prefix}.ballots"),
            dead: format!("{prefix}.dead"),
            results: format!("{prefix}.results"),
            settled: format!("{prefix}.settled"),
            ballots_messages_max: BALLOTS_MESSAGES_MAX,
        }
    }

    /// With room for about `max` messages of ballots.
    #[must_use]
    pub fn with_ballots_messages_max(self, max: u32) -> Self {
        Self { ballots_messages_max: max.into(), ..self }
    }

    /// Makes what isn't there, and fails where something is there that is declared otherwise. Returns a channel once all of
    /// it is there to stay: see [`SETTLE`].
    pub(super) async fn establish(&self, session: &Session) -> Result<Channel, QueueError> {
        let is_new = !self.is_there(session).await?;
        let channel = session.channel().await?;
        if is_new {
            within("it deletes no exchange", self.unsettle(&channel)).await?;
            sleep(FORGET).await;
        }
        within("it declares no queue", async {
            self.declare_quorum_queue(&channel, &self.dead, self.dead_arguments()).await?;
            self.declare_quorum_queue(&channel, &self.ballots, self.ballots_arguments()).await?;
            self.declare_exchange(&channel, &self.results).await
        })
        .await?;
        if is_new {
            sleep(SETTLE).await;
        }
        // The last: where it is, the queues have settled.
        within("it declares no exchange", self.declare_exchange(&channel, &self.settled)).await?;
        Ok(channel)
    }

    /// What all names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The first that isn't there, if one isn't, whichever way the others are declared. The channel is of no use then.
    pub(super) async fn missing(&self, channel: &Channel) -> Result<Option<&str>, QueueError> {
        within("it doesn't say what is there", async {
            for name in [&self.results, &self.settled] {
                let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                let (kind, none) = (ExchangeKind::Fanout, FieldTable::default());
                match channel.exchange_declare(name.as_str().into(), kind, passive, none).await {
                    Ok(()) => {}
                    Err(error) if failure::is_missing(&error) => return Ok(Some(name.as_str())),
                    Err(error) => return Err(failure::unavailable(error)),
                }
            }
            for name in [&self.dead, &self.ballots] {
                match contents(channel, name).await {
                    Ok(_) => {}
                    Err(error) if failure::is_missing(&error) => return Ok(Some(name.as_str())),
                    Err(error) => return Err(failure::unavailable(error)),
                }
            }
            Ok(None)
        })
        .await
    }

    /// Whether this is a queue that a policy's `expires` deletes whether there are workers or not.
    pub(super) fn is_never_consumed(&self, name: &str) -> bool {
        name == self.dead
    }

    /// A name for a canary that no other has: the broker makes it up.
    pub(super) async fn new_canary_name(&self, session: &Session) -> Result<String, QueueError> {
        let channel = session.channel().await?;
        let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        within("it declares no queue", async {
            let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await;
            let queue = queue.map_err(|error| failure::of_declaring(error, "a queue that it names itself"))?;
            let unique = queue.name().as_str().trim_start_matches("amq.gen-").to_owned();
            let deleted = channel.queue_delete(queue.name().clone(), QueueDeleteOptions::default()).await;
            deleted.map_err(failure::unavailable)?;
            Ok(format!("{}.canary.{unique}", self.prefix))
        })
        .await
    }

    /// Declares a canary of this name.
    pub(super) async fn declare_canary(&self, session: &Session, name: &str) -> Result<(), QueueError> {
        let channel = session.channel().await?;
        within("it declares no queue", self.declare_quorum_queue(&channel, name, canary_arguments())).await
    }

    /// Empties the canary of this name. Returns whether it is there.
    pub(super) async fn empty_canary(&self, session: &Session, name: &str) -> Result<bool, QueueError> {
        let channel = session.channel().await?;
        within("it empties no queue", async {
            // To get a message keeps the queue from expiring, which declaring it again does not.
            match channel.basic_get(name.into(), BasicGetOptions { no_ack: true }).await {
                Ok(_) => {}
                Err(error) if failure::is_missing(&error) => return Ok(false),
                Err(error) => return Err(failure::unavailable(error)),
            }
            match channel.queue_purge(name.into(), QueuePurgeOptions::default()).await {
                Ok(_) => Ok(true),
                Err(error) if failure::is_missing(&error) => Ok(false),
                Err(error) => Err(failure::unavailable(error)),
            }
        })
        .await
    }

    async fn is_there(&self, session: &Session) -> Result<bool, QueueError> {
        // To ask for what isn't there ends the channel.
        let channel = session.channel().await?;
        Ok(self.missing(&channel).await?.is_none())
    }

    /// Takes back that the queues have settled: one of them is gone.
    async fn unsettle(&self, channel: &Channel) -> Result<(), QueueError> {
        let deleted = channel.exchange_delete(self.settled.as_str().into(), ExchangeDeleteOptions::default()).await;
        deleted.map_err(failure::unavailable)
    }

    /// Declares a node's queue, of results published from now on; it is deleted with the connection. Returns its name.
    pub(super) async fn hang_up_queue(&self, channel: &Channel) -> Result<String, QueueError> {
        let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let arguments = table([("x-max-length", RESULTS_MAX.into()), ("x-overflow", text("drop-head"))]);
        let hanging = async {
            let queue = channel.queue_declare("".into(), exclusive, arguments).await?;
            let (name, results) = (queue.name().clone(), self.results.as_str().into());
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(name.clone(), results, "".into(), options, none).await?;
            Ok(name.to_string())
        };
        match timeout(ANSWER_MAX, hanging).await {
            Ok(hung) => hung.map_err(|error| failure::of_declaring(error, "a node's queue of results")),
            Err(_) => Err(no_answer("it declares no queue")),
        }
    }

    /// What the queue of this name holds, and who takes it off.
    pub(super) async fn inspect(&self, channel: &Channel, name: &str) -> Result<Contents, QueueError> {
        match timeout(ANSWER_MAX, contents(channel, name)).await {
            Ok(Ok(contents)) => Ok(contents),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(no_answer("it doesn't count")),
        }
    }

    /// The first message of the queue of this name, taken off it, if there is one; its leader alone can say.
    pub(super) async fn take(&self, channel: &Channel, name: &str) -> Result<Option<Delivery>, QueueError> {
        match timeout(ANSWER_MAX, channel.basic_get(name.into(), BasicGetOptions::default())).await {
            Ok(Ok(got)) => Ok(got.map(|message| message.delivery)),
            Ok(Err(error)) => Err(failure::unavailable(error)),
            Err(_) => Err(no_answer("it doesn't deliver")),
        }
    }

    async fn declare_quorum_queue(
        &self,
        channel: &Channel,
        name: &str,
        arguments: FieldTable,
    ) -> Result<(), QueueError> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(name.into(), durable, arguments).await;
        declared.map(drop).map_err(|error| failure::of_declaring(error, name))
    }

    async fn declare_exchange(&self, channel: &Channel, name: &str) -> Result<(), QueueError> {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared =
            channel.exchange_declare(name.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await;
        declared.map_err(|error| failure::of_declaring(error, name))
    }

    fn ballots_arguments(&self) -> FieldTable {
        table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", DELIVERIES_MAX.into()),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&self.dead)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
            ("x-max-length", self.ballots_messages_max.into()),
            ("x-max-length-bytes", BALLOTS_BYTES_MAX.into()),
        ])
    }

    /// It has no dead letters of its own: a delivery limit would lose what an operator has looked at too often.
    fn dead_arguments(&self) -> FieldTable {
        table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", DELIVERIES_MAX.into()),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", DEAD_BYTES_MAX.into()),
        ])
    }
}

async fn contents(channel: &Channel, name: &str) -> lapin::Result<Contents> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(name.into(), passive, FieldTable::default()).await?;
    Ok(Contents { messages: queue.message_count(), consumers: queue.consumer_count() })
}

/// Full after two messages, which stay there.
fn canary_arguments() -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", DELIVERIES_MAX.into()),
        ("x-overflow", text("reject-publish")),
        ("x-max-length", 1.into()),
        ("x-expires", CANARY_EXPIRES_MS.into()),
    ])
}

async fn within<T>(why_not: &str, work: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    timeout(ANSWER_MAX, work).await.unwrap_or_else(|_| Err(no_answer(why_not)))
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
