//! A piece of the broker that all tests share, for one test alone.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use throng_backends::queue::rabbitmq::{
    Broker, DeadLetters, RabbitBallotConsumer, RabbitPublisher, RabbitResultPublisher, RabbitResultSubscriber, Topology,
};
use throng_backends::queue::{MessageKey, QueueUrl};
use throng_domain::clock::ManualClock;
use throng_domain::queue::QueueError;

use super::NOW;

/// Names that no other test has, and everything connected with the same key.
#[derive(Clone)]
pub struct Ground {
    pub prefix: String,
    /// Where Throng connects: at the broker, or at a proxy before it.
    pub url: QueueUrl,
    pub topology: Topology,
}

/// The broker's `host:port`.
pub fn host() -> String {
    let url = server();
    url.rsplit_once('@').expect("it names a user").1.to_owned()
}

/// The broker's URL, for the user `ann` instead of its own if one is named, at `host` instead of its own.
pub fn url_at(host: &str, user: Option<&str>) -> QueueUrl {
    let url = server();
    let (_, account) = url.rsplit_once('@').expect("it names a user").0.split_once("://").unwrap();
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

/// Runs `test` on ground of its own, and clears the ground however it ends.
pub async fn on_ground<F: Future<Output = ()> + 'static>(test: impl FnOnce(Ground) -> F) {
    let ground = Ground::new();
    let here = tokio::task::LocalSet::new();
    let ended = here.run_until(here.spawn_local(test(ground.clone()))).await;
    let (_connection, channel) = connect().await;
    for queue in ["ballots", "dead"] {
        let name = format!("{}.{queue}", ground.prefix);
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let name = format!("{}.results", ground.prefix);
    channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic.into_panic());
    }
}

impl Ground {
    fn new() -> Self {
        let mut bits = [0; 8];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bits)).unwrap();
        let prefix = bits.iter().fold("test-".to_owned(), |mut prefix, byte| {
            write!(prefix, "{byte:02x}").unwrap();
            prefix
        });
        Self { topology: Topology::new(&prefix), prefix, url: url_at(&host(), None) }
    }

    /// The same ground, reached by way of `host`.
    pub fn by_way_of(&self, host: &str) -> Self {
        Self { url: url_at(host, None), ..self.clone() }
    }

    /// The broker, and another virtual host there.
    pub fn url_of_vhost(&self, vhost: &str) -> QueueUrl {
        format!("{}/{vhost}", server()).parse().unwrap()
    }

    pub fn broker(&self) -> Broker {
        Broker { url: self.url.clone(), topology: self.topology.clone() }
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

    /// How many messages are ready in `{prefix}.{queue}`; `None` if it isn't there.
    pub async fn ready(&self, queue: &str) -> Option<u32> {
        self.inspect(queue).await.map(|queue| queue.message_count())
    }

    /// How many consumers `{prefix}.{queue}` has; `None` if it isn't there.
    pub async fn consumers(&self, queue: &str) -> Option<u32> {
        self.inspect(queue).await.map(|queue| queue.consumer_count())
    }

    async fn inspect(&self, queue: &str) -> Option<lapin::Queue> {
        let (_connection, channel) = connect().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let name = format!("{}.{queue}", self.prefix);
        channel.queue_declare(name.into(), passive, FieldTable::default()).await.ok()
    }

    /// Puts bytes on `{prefix}.{queue}`, as anybody can who has an account on the broker.
    pub async fn plant(&self, queue: &str, bytes: &[u8]) {
        let (_connection, channel) = connect().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let (name, options) = (format!("{}.{queue}", self.prefix), BasicPublishOptions::default());
        let published = channel.basic_publish("".into(), name.into(), options, bytes, BasicProperties::default()).await;
        assert!(published.unwrap().await.unwrap().is_ack());
    }
}

/// A plain connection of the test's own.
pub async fn connect() -> (Connection, Channel) {
    let url = format!("{}/%2f", server());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}
