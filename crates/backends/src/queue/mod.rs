//! The message queue between the nodes that accept ballots and the workers that record them.

pub mod message;
pub mod rabbitmq;
mod url;

use std::sync::Arc;

use throng_domain::clock::Clock;
use throng_domain::queue::{BallotConsumer, Publisher, QueueError, ResultPublisher, ResultSubscriber};

pub use self::message::MessageKey;
use self::rabbitmq::{
    BrokerConfig, RabbitBallotConsumer, RabbitPublisher, RabbitResultPublisher, RabbitResultSubscriber, Topology,
};
pub use self::rabbitmq::{DeadLetter, DeadLetters, Depth, OpenedLetter, SCAN_MAX, Selection};
pub use self::url::QueueUrl;

/// A web node's connections to the broker.
#[derive(Debug)]
pub struct ServerSides {
    /// The name under which nodes and workers that share a database identify the queue.
    pub queue: String,
    /// One publisher per core.
    pub publishers: Vec<Arc<dyn Publisher>>,
    /// Receives results for this node.
    pub result_subscriber: Box<dyn ResultSubscriber>,
}

/// Connects a web node: one publisher for each of its `cores`, and a subscriber for results. The names of queues and
/// exchanges begin with `prefix`; messages authenticated with another `key` are rejected.
///
/// Each publisher must be used on the runtime of its core. Everything else may be used from any runtime; its background tasks
/// run on the calling runtime, which must outlive all of them.
///
/// # Errors
/// [`QueueError::Rejected`] if an operator has to change the broker or its URL, [`QueueError::Unavailable`] if the broker
/// can't be reached.
pub async fn connect_server(
    url: &QueueUrl,
    prefix: &str,
    key: MessageKey,
    cores: usize,
) -> Result<ServerSides, QueueError> {
    // In parallel, so that a node is ready soon after the broker becomes available.
    let (publisher, result_subscriber) = tokio::try_join!(
        RabbitPublisher::connect(broker(url, prefix), key.clone()),
        RabbitResultSubscriber::connect(broker(url, prefix), key.clone()),
    )?;
    let publishers = (0..cores).map(|_| Arc::new(publisher.another()) as Arc<dyn Publisher>).collect();
    Ok(ServerSides { queue: publisher.queue().to_owned(), publishers, result_subscriber: Box::new(result_subscriber) })
}

/// Connects a worker's consumer of ballots. Unreadable messages are set aside, timestamped by `clock`.
///
/// # Errors
/// As for [`connect_server`].
pub async fn connect_worker(
    url: &QueueUrl,
    prefix: &str,
    key: MessageKey,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn BallotConsumer>, QueueError> {
    Ok(Box::new(RabbitBallotConsumer::connect(broker(url, prefix), key, clock).await?))
}

/// Connects a worker's publisher of results.
///
/// # Errors
/// As for [`connect_server`].
pub async fn connect_result_publisher(
    url: &QueueUrl,
    prefix: &str,
    key: MessageKey,
) -> Result<Arc<dyn ResultPublisher>, QueueError> {
    Ok(Arc::new(RabbitResultPublisher::connect(broker(url, prefix), key).await?))
}

/// Connects to the messages that no worker could read.
///
/// # Errors
/// As for [`connect_server`].
pub async fn connect_dead_letters(url: &QueueUrl, prefix: &str, key: MessageKey) -> Result<DeadLetters, QueueError> {
    DeadLetters::connect(broker(url, prefix), key).await
}

/// The queue depth: the number of messages waiting to be recorded. Connects on first use.
pub fn depth(url: &QueueUrl, prefix: &str) -> Depth {
    Depth::new(broker(url, prefix))
}

fn broker(url: &QueueUrl, prefix: &str) -> BrokerConfig {
    BrokerConfig { url: url.clone(), topology: Topology::new(prefix) }
}
