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
mod canary;
mod confirm_channel;
mod connection;
mod consumer;
mod dead_letters;
mod failure;
mod identity;
mod inspection;
mod publisher;
mod publisher_connection;
mod results;
mod set_aside;
mod subscription;
mod supervised_connection;
mod topology;

pub use self::consumer::RabbitBallotConsumer;
pub use self::dead_letters::{DeadLetter, DeadLetters, OpenedLetter, SCAN_MAX, Selection};
pub use self::inspection::Depth;
pub use self::publisher::RabbitPublisher;
pub use self::results::{RabbitResultPublisher, RabbitResultSubscriber};
pub use self::topology::{BrokerConfig, Topology};
