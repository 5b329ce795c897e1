//! RabbitMQ, spoken to in AMQP 0-9-1.
//!
//! ```text
//! publishers ─┬─ pipe, one per core ─► {prefix}.ballots ─► consumer ──────┐ can't be read
//!             └─ line                                                     └─► {prefix}.dead ◄─► dead letters
//! result publisher ─ line ─ lane ────► {prefix}.results ─► a queue per node ─► result subscriber
//! ```
//!
//! What sends has a [`line`](line::Line), which is looked after in the background and knows before anything is sent
//! whether the broker takes it. Ballots don't go out on the line itself, but on the [`pipe`](pipe::Pipe) of the core that
//! took them. A [`canary`](canary::Canary) tells it whether a policy makes the broker lose what it confirmed. What receives has a [`subscription`](subscription::Subscription), and connects again when it is next asked.

mod alarms;
mod backoff;
mod canary;
mod connection;
mod consumer;
mod dead_letters;
mod depth;
mod failure;
mod identity;
mod lane;
mod line;
mod looking;
mod pipe;
mod publisher;
mod result_publisher;
mod result_subscriber;
mod set_aside;
mod subscription;
mod supervision;
mod topology;
mod unacknowledged;
mod unconfirmed;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;

pub use self::consumer::RabbitBallotConsumer;
pub use self::dead_letters::{DeadLetter, DeadLetters, OpenedLetter, SCAN_MAX, Selection};
pub use self::depth::{Depth, Messages};
pub use self::publisher::RabbitPublisher;
pub use self::result_publisher::RabbitResultPublisher;
pub use self::result_subscriber::RabbitResultSubscriber;
pub use self::topology::Topology;
use super::QueueUrl;

/// How long sending a message may take, its confirm included.
const SEND_MAX: Duration = Duration::from_secs(3);

/// AMQP's mode of delivery for a message that is kept on disk.
const PERSISTENT: u8 = 2;

/// A broker, and what Throng has there.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where it is.
    pub url: QueueUrl,
    /// What is there.
    pub topology: Topology,
}

/// The next of what a stream yields.
async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}
