//! RabbitMQ, spoken to in AMQP 0-9-1.
//!
//! ```text
//! publisher ── line ─ lane ─ lane ─► {prefix}.ballots ─► deliveries ──────┐ can't be read
//!                                                                         └─► {prefix}.dead ◄─► dead letters
//! announcer ── line ─ lane ────────► {prefix}.results ─► a queue a node ─► announcements
//! ```
//!
//! What sends has a [`line`](line::Line), which is looked after in the background and knows before anything is sent
//! whether the broker takes it. What receives has a [`subscription`](subscription::Subscription), and connects again
//! when it is next asked.

mod announcements;
mod announcer;
mod backoff;
mod connection;
mod dead_letters;
mod deliveries;
mod depth;
mod failure;
mod lane;
mod line;
mod publisher;
mod set_aside;
mod subscription;
mod supervision;
mod topology;
mod unacknowledged;

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

pub use self::announcements::RabbitAnnouncements;
pub use self::announcer::RabbitAnnouncer;
pub use self::dead_letters::{DeadLetter, DeadLetters, OpenedLetter, SCAN_MAX, Selection};
pub use self::deliveries::RabbitDeliveries;
pub use self::depth::Depth;
pub use self::publisher::RabbitPublisher;
pub use self::topology::Topology;
use super::QueueUrl;

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
