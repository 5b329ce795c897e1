//! The broker that carries ballots from the nodes that take them to the workers that record them.

pub mod message;
pub mod rabbitmq;
mod url;

use std::sync::Arc;

use throng_domain::clock::Clock;
use throng_domain::queue::{BallotConsumer, Publisher, QueueError, ResultPublisher, ResultSubscriber};

pub use self::message::MessageKey;
use self::rabbitmq::{
    Broker, DeadLetters, Depth, RabbitBallotConsumer, RabbitPublisher, RabbitResultPublisher, RabbitResultSubscriber,
    Topology,
};
pub use self::url::QueueUrl;

/// The sides of a broker that a web node has to do with.
#[derive(Debug)]
pub struct ServerSides {
    /// The name by which nodes and workers on one database know the queue.
    pub queue: String,
    /// A publisher for each core.
    pub publishers: Vec<Arc<dyn Publisher>>,
    /// Where the node receives results.
    pub result_subscriber: Box<dyn ResultSubscriber>,
}

/// Connects a web node: a publisher for each of its `cores`, and a subscriber for results. The names of queues and exchanges
/// begin with `prefix`; messages under another `key` aren't ours.
///
/// A publisher is to be used on its core's runtime. All else may be used from any runtime, and is looked after on the one
/// that this is called on, which has to run for as long as they are used.
///
/// # Errors
/// [`QueueError::Rejected`] where the broker can't be used as it is, [`QueueError::Unavailable`] where it is away.
pub async fn connect_server(
    url: &QueueUrl,
    prefix: &str,
    key: MessageKey,
    cores: usize,
) -> Result<ServerSides, QueueError> {
    // At the same time: after a broker's return, a node is to serve soon.
    let (publisher, result_subscriber) = tokio::try_join!(
        RabbitPublisher::connect(broker(url, prefix), key.clone()),
        RabbitResultSubscriber::connect(broker(url, prefix), key.clone()),
    )?;
    let publishers = (0..cores).map(|_| Arc::new(publisher.another()) as Arc<dyn Publisher>).collect();
    Ok(ServerSides { queue: publisher.queue().to_owned(), publishers, result_subscriber: Box::new(result_subscriber) })
}

/// Where a worker takes ballots from. Messages that it can't read are set aside, with the time of `clock`.
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

/// Where a worker announces results.
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

/// The messages that no worker could read.
///
/// # Errors
/// As for [`connect_server`].
pub async fn connect_dead_letters(url: &QueueUrl, prefix: &str, key: MessageKey) -> Result<DeadLetters, QueueError> {
    DeadLetters::connect(broker(url, prefix), key).await
}

/// How much waits to be recorded. Connects when it is first asked.
pub fn depth(url: &QueueUrl, prefix: &str) -> Depth {
    Depth::new(broker(url, prefix))
}

fn broker(url: &QueueUrl, prefix: &str) -> Broker {
    Broker { url: url.clone(), topology: Topology::new(prefix) }
}
