//! The queues and exchanges that Throng declares on a broker.

use std::time::Duration;

use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use throng_domain::queue::QueueError;
use tokio::time::{sleep, timeout};

use super::connection::{RESPONSE_MAX, Session};
use super::failure::{self, unavailable_because};
use crate::queue::url::QueueUrl;

/// The maximum size of the ballots' queue in bytes: some 200 million ballots. Beyond it ballots are refused; none is dropped.
const BALLOTS_BYTES_MAX: i64 = 8 * 1024 * 1024 * 1024;

/// The maximum length of the ballots' queue; the broker uses some memory for each message.
const BALLOTS_MESSAGES_MAX: i64 = 10_000_000;

/// The maximum size of the dead-letter queue in bytes. Beyond it unreadable messages stay in the ballots' queue.
const DEAD_BYTES_MAX: i64 = 1024 * 1024 * 1024;

/// The delivery limit: effectively none. The default of RabbitMQ 4 is 20, which a worker that crashes repeatedly would
/// exceed.
const DELIVERIES_MAX: i64 = 1_000_000_000;

/// How long a queue must have existed before messages in it are durable. RabbitMQ stores the names of quorum queues in a file
/// (ra's `names.dets`) that it writes half a second after the last change: if it is killed before, the queue exists after the
/// restart but is empty, and confirmed messages are lost.
const SETTLE_DELAY: Duration = Duration::from_secs(2);

/// The delay before a missing queue is declared, which may have been deleted. RabbitMQ cancels the consumers of a deleted
/// queue, but not immediately: if a queue of the same name is declared before, they stay attached to it and receive nothing.
const REDECLARE_DELAY: Duration = Duration::from_secs(1);

/// How long a canary queue remains after its node was stopped.
const CANARY_EXPIRES_MS: i32 = 5 * 60 * 1_000;

/// The maximum length of a node's queue of results; the oldest are dropped.
const RESULTS_MAX: i64 = 64;

/// The names of the queues and exchanges, and their limits.
///
/// | name | type | contents |
/// |---|---|---|
/// | `{prefix}.ballots` | durable quorum queue | ballots that aren't recorded yet |
/// | `{prefix}.dead` | durable quorum queue | messages that no worker could read |
/// | `{prefix}.results` | fanout exchange | none; each node binds a queue of its own |
/// | `{prefix}.canary.…` | durable quorum queue, one per node | messages never consumed: see [`canary`](super::canary) |
/// | `{prefix}.settled` | exchange | none; exists once messages in the queues are durable |
///
/// A confirm from a quorum queue means that the message is on the disks of a majority; one from a classic queue doesn't.
///
/// The broker rejects a declaration whose arguments differ from the existing queue's: after a change of one below, an operator
/// has to empty and delete every existing queue. A policy can lower the limits of an existing queue; under one that replaces
/// `overflow`, or makes messages or queues expire, votes are refused.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    pub(super) ballots: String,
    pub(super) dead: String,
    pub(super) results: String,
    settled: String,
    ballots_messages_max: i64,
}

/// A broker, and the topology that Throng declares on it.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Its address and credentials.
    pub url: QueueUrl,
    /// Its queues and exchanges.
    pub topology: Topology,
}

impl Topology {
    /// The topology whose names begin with `prefix`.
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

    /// With a limit of about `max` messages on the ballots' queue.
    #[must_use]
    pub fn with_ballots_messages_max(self, max: u32) -> Self {
        Self { ballots_messages_max: max.into(), ..self }
    }

    /// Declares whatever is missing; fails if something exists with different arguments. Returns a channel once messages in the
    /// queues are durable: see [`SETTLE_DELAY`].
    pub(super) async fn establish(&self, session: &Session) -> Result<Channel, QueueError> {
        let is_new = !self.exists(session).await?;
        let channel = session.channel().await?;
        if is_new {
            within("timed out deleting an exchange", self.delete_settled(&channel)).await?;
            sleep(REDECLARE_DELAY).await;
        }
        within("timed out declaring a queue", async {
            self.declare_quorum_queue(&channel, &self.dead, self.dead_arguments()).await?;
            self.declare_quorum_queue(&channel, &self.ballots, self.ballots_arguments()).await?;
            self.declare_exchange(&channel, &self.results).await
        })
        .await?;
        if is_new {
            sleep(SETTLE_DELAY).await;
        }
        // Last: if it exists, messages in the queues are durable.
        within("timed out declaring an exchange", self.declare_exchange(&channel, &self.settled)).await?;
        Ok(channel)
    }

    /// The prefix of all names.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The first queue or exchange that doesn't exist, regardless of the arguments of the others. If there is one, the broker
    /// closes the channel.
    pub(super) async fn missing(&self, channel: &Channel) -> Result<Option<&str>, QueueError> {
        within("timed out checking queues and exchanges", async {
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
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                match channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await {
                    Ok(_) => {}
                    Err(error) if failure::is_missing(&error) => return Ok(Some(name.as_str())),
                    Err(error) => return Err(failure::unavailable(error)),
                }
            }
            Ok(None)
        })
        .await
    }

    /// Whether a policy's `expires` deletes this queue even while there are workers.
    pub(super) fn is_never_consumed(&self, name: &str) -> bool {
        name == self.dead
    }

    /// A unique name for a canary queue, generated by the broker.
    pub(super) async fn new_canary_name(&self, session: &Session) -> Result<String, QueueError> {
        let channel = session.channel().await?;
        let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        within("timed out declaring a queue", async {
            let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await;
            let queue = queue.map_err(|error| failure::of_declaring(error, "a queue named by the broker"))?;
            let unique = queue.name().as_str().trim_start_matches("amq.gen-").to_owned();
            let deleted = channel.queue_delete(queue.name().clone(), QueueDeleteOptions::default()).await;
            deleted.map_err(failure::unavailable)?;
            Ok(format!("{}.canary.{unique}", self.prefix))
        })
        .await
    }

    /// Declares a canary queue with this name.
    pub(super) async fn declare_canary(&self, session: &Session, name: &str) -> Result<(), QueueError> {
        let channel = session.channel().await?;
        within("timed out declaring a queue", self.declare_quorum_queue(&channel, name, canary_arguments())).await
    }

    /// Purges the canary queue with this name. Returns whether it exists.
    pub(super) async fn purge_canary(&self, session: &Session, name: &str) -> Result<bool, QueueError> {
        let channel = session.channel().await?;
        within("timed out purging a queue", async {
            // A `basic.get` resets the queue's expiry; declaring it again does not.
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

    async fn exists(&self, session: &Session) -> Result<bool, QueueError> {
        // A passive declare of something missing closes the channel.
        let channel = session.channel().await?;
        Ok(self.missing(&channel).await?.is_none())
    }

    /// Marks the queues as not settled, since one of them is missing.
    async fn delete_settled(&self, channel: &Channel) -> Result<(), QueueError> {
        let deleted = channel.exchange_delete(self.settled.as_str().into(), ExchangeDeleteOptions::default()).await;
        deleted.map_err(failure::unavailable)
    }

    /// Declares a node's queue for results published from now on, deleted with the connection. Returns its name.
    pub(super) async fn declare_node_queue(&self, channel: &Channel) -> Result<String, QueueError> {
        let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let arguments = table([("x-max-length", RESULTS_MAX.into()), ("x-overflow", text("drop-head"))]);
        let declaring = async {
            let queue = channel.queue_declare("".into(), exclusive, arguments).await?;
            let (name, results) = (queue.name().clone(), self.results.as_str().into());
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(name.clone(), results, "".into(), options, none).await?;
            Ok(name.to_string())
        };
        match timeout(RESPONSE_MAX, declaring).await {
            Ok(declared) => declared.map_err(|error| failure::of_declaring(error, "a node's queue of results")),
            Err(_) => Err(unavailable_because("timed out declaring a queue")),
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

    /// Without a dead-letter exchange of its own: with a delivery limit, messages scanned too often would be lost.
    fn dead_arguments(&self) -> FieldTable {
        table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", DELIVERIES_MAX.into()),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", DEAD_BYTES_MAX.into()),
        ])
    }
}

/// Full after two messages, which stay in the queue.
fn canary_arguments() -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", DELIVERIES_MAX.into()),
        ("x-overflow", text("reject-publish")),
        ("x-max-length", 1.into()),
        ("x-expires", CANARY_EXPIRES_MS.into()),
    ])
}

async fn within<T>(timed_out: &str, work: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    timeout(RESPONSE_MAX, work).await.unwrap_or_else(|_| Err(unavailable_because(timed_out)))
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
