//! RabbitMQ, over AMQP 0-9-1.
//!
//! ```text
//! publishers ─┬─ publisher connection, one per core ─► {prefix}.ballots ─► consumer ──────┐ unreadable
//!             └─ supervised connection                                                    └─► {prefix}.dead ◄─► dead letters
//! result publisher ─ supervised connection ──────────► {prefix}.results ─► a queue per node ─► result subscriber
//! ```
//!
//! Publishers have a [supervised connection](supervised_connection::SupervisedConnection), monitored in the background, so that
//! it is known before publishing whether the broker accepts messages. Ballots are not published on it, but on the
//! [publisher connection](publisher_connection::PublisherConnection) of the core that accepted them. A
//! [canary](canary::Canary) detects policies that make the broker lose confirmed messages. Consumers have a
//! [subscription](subscription::Subscription), and reconnect on their next call.

mod alarms;
mod backoff;
mod canary;
mod confirm_channel;
mod connection;
mod consumer;
mod dead_letters;
mod depth;
mod empty_check;
mod failure;
mod identity;
mod publisher;
mod publisher_connection;
mod result_publisher;
mod result_subscriber;
mod set_aside;
mod subscription;
mod supervised_connection;
mod supervision;
mod topology;
mod unacknowledged;
mod unconfirmed;

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

pub use self::consumer::RabbitBallotConsumer;
pub use self::dead_letters::{DeadLetter, DeadLetters, OpenedLetter, SCAN_MAX, Selection};
pub use self::depth::Depth;
pub use self::publisher::RabbitPublisher;
pub use self::result_publisher::RabbitResultPublisher;
pub use self::result_subscriber::RabbitResultSubscriber;
pub use self::topology::Topology;
use super::QueueUrl;

/// AMQP's delivery mode for messages that are written to disk.
const PERSISTENT: u8 = 2;

/// A broker, and the topology that Throng declares on it.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Its address and credentials.
    pub url: QueueUrl,
    /// Its queues and exchanges.
    pub topology: Topology,
}

/// The next item of a stream.
async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}
