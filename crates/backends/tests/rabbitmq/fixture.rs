//! Queues and exchanges for one test, on the broker that all tests share.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use throng_backends::queue::rabbitmq::{
    BrokerConfig, DeadLetters, RabbitBallotConsumer, RabbitPublisher, RabbitResultPublisher, RabbitResultSubscriber,
    Topology,
};
use throng_backends::queue::{MessageKey, QueueUrl};
use throng_domain::clock::ManualClock;
use throng_domain::queue::QueueError;

use super::NOW;

/// Names that no other test uses; all connections use the same key.
#[derive(Clone)]
pub struct Fixture {
    pub prefix: String,
    /// The address that Throng connects to: the broker, or a proxy in front of it.
    pub url: QueueUrl,
    pub topology: Topology,
}

/// The broker's `host:port`.
pub fn host() -> String {
    let url = server();
    url.rsplit_once('@').expect("the URL names a user").1.to_owned()
}

/// The broker's URL at `host` instead of its own, for `user` (`name:password`) instead of its own if given.
pub fn url_at(host: &str, user: Option<&str>) -> QueueUrl {
    let url = server();
    let (_, account) = url.rsplit_once('@').expect("the URL names a user").0.split_once("://").unwrap();
    format!("amqp://{}@{host}/%2f", user.unwrap_or(account)).parse().unwrap()
}

fn server() -> String {
    std::env::var("THRONG_TEST_RABBITMQ_URL").expect(
        "these tests need a RabbitMQ: run `cargo xtask test`, which starts a private one, or set \
         THRONG_TEST_RABBITMQ_URL (amqp://user:password@127.0.0.1:port)",
    )
}

pub fn key() -> MessageKey {
    MessageKey::new(&[7; 32])
}

/// Runs `test` with a fixture of its own, and removes its queues and exchange even if the test fails.
pub async fn with_fixture<F: Future<Output = ()> + 'static>(test: impl FnOnce(Fixture) -> F) {
    let fixture = Fixture::new();
    let local = tokio::task::LocalSet::new();
    let ended = local.run_until(local.spawn_local(test(fixture.clone()))).await;
    let (_connection, channel) = connect().await;
    for queue in ["ballots", "dead"] {
        let name = format!("{}.{queue}", fixture.prefix);
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let name = format!("{}.results", fixture.prefix);
    channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic.into_panic());
    }
}

impl Fixture {
    fn new() -> Self {
        let mut bits = [0; 8];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bits)).unwrap();
        let prefix = bits.iter().fold("test-".to_owned(), |mut prefix, byte| {
            write!(prefix, "{byte:02x}").unwrap();
            prefix
        });
        Self { topology: Topology::new(&prefix), prefix, url: url_at(&host(), None) }
    }

    /// The same fixture, with connections through `host`.
    pub fn through(&self, host: &str) -> Self {
        Self { url: url_at(host, None), ..self.clone() }
    }

    /// The URL of another virtual host on the broker.
    pub fn url_of_vhost(&self, vhost: &str) -> QueueUrl {
        format!("{}/{vhost}", server()).parse().unwrap()
    }

    pub fn broker(&self) -> BrokerConfig {
        BrokerConfig { url: self.url.clone(), topology: self.topology.clone() }
    }

    pub async fn publisher(&self) -> RabbitPublisher {
        RabbitPublisher::connect(self.broker(), key()).await.unwrap()
    }

    pub async fn try_worker(&self) -> Result<RabbitBallotConsumer, QueueError> {
        RabbitBallotConsumer::connect(self.broker(), key(), std::sync::Arc::new(ManualClock::new(NOW))).await
    }

    pub async fn worker(&self) -> RabbitBallotConsumer {
        self.try_worker().await.unwrap()
    }

    pub async fn result_publisher(&self) -> RabbitResultPublisher {
        RabbitResultPublisher::connect(self.broker(), key()).await.unwrap()
    }

    pub async fn node(&self) -> RabbitResultSubscriber {
        RabbitResultSubscriber::connect(self.broker(), key()).await.unwrap()
    }

    pub async fn dead_letters(&self) -> DeadLetters {
        DeadLetters::connect(self.broker(), key()).await.unwrap()
    }

    /// How many messages are ready in `{prefix}.{queue}`; `None` if it doesn't exist.
    pub async fn ready(&self, queue: &str) -> Option<u32> {
        self.inspect(queue).await.map(|queue| queue.message_count())
    }

    /// How many consumers `{prefix}.{queue}` has; `None` if it doesn't exist.
    pub async fn consumers(&self, queue: &str) -> Option<u32> {
        self.inspect(queue).await.map(|queue| queue.consumer_count())
    }

    async fn inspect(&self, queue: &str) -> Option<lapin::Queue> {
        let (_connection, channel) = connect().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let name = format!("{}.{queue}", self.prefix);
        channel.queue_declare(name.into(), passive, FieldTable::default()).await.ok()
    }

    /// Publishes bytes to `{prefix}.{queue}`, as any client with an account on the broker can.
    pub async fn publish_raw(&self, queue: &str, bytes: &[u8]) {
        let (_connection, channel) = connect().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let (name, options) = (format!("{}.{queue}", self.prefix), BasicPublishOptions::default());
        let published = channel.basic_publish("".into(), name.into(), options, bytes, BasicProperties::default()).await;
        assert!(published.unwrap().await.unwrap().is_ack());
    }
}

/// A connection of the test's own, with a channel.
pub async fn connect() -> (Connection, Channel) {
    let url = format!("{}/%2f", server());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}
