//! Metrics in Prometheus's text format, for each stage of a ballot's path.
//!
//! No metric has a label for the poll: a client that can create polls could create labels without limit. All label values are
//! known before the first ballot, and every handle is obtained then; the only exception is in [`database_log`].

mod anomaly;
mod broadcaster;
mod connections;
mod consumer;
mod database_log;
mod http;
mod intake;
mod network_limit;
mod results;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use throng_domain::clock::Clock;
use throng_domain::queue::Messages;
use throng_domain::waits_for::WaitsFor;

pub use self::anomaly::{ANOMALY_REASONS, AnomalyMetrics};
pub use self::broadcaster::BroadcasterMetrics;
pub use self::connections::ConnectionMetrics;
pub use self::consumer::ConsumerMetrics;
use self::consumer::Consumers;
pub use self::database_log::DatabaseLogMetrics;
use self::http::PerCore;
pub use self::http::{HttpMetrics, REFUSAL_REASONS};
pub use self::intake::{BatchFailure, IntakeMetrics};
pub use self::network_limit::NetworkLimitMetrics;
pub use self::results::ResultsMetrics;
pub use self::webhooks::{WebhookMetrics, WebhookOutcome};

/// The metrics of a web node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Intake.
    pub intake: Arc<IntakeMetrics>,
    /// HTTP, by the core's number.
    pub http: Vec<Arc<HttpMetrics>>,
    /// The limit of votes per network.
    pub network_limit: NetworkLimitMetrics,
    /// The anomaly scores.
    pub anomaly: AnomalyMetrics,
    /// Webhooks.
    pub webhooks: WebhookMetrics,
    /// The sources of results.
    pub results: Arc<ResultsMetrics>,
    /// The log of a file database.
    pub database_log: DatabaseLogMetrics,
    /// Dropped log lines.
    pub log_lines_dropped: Counter,
    queue_messages: Gauge<f64, AtomicU64>,
    dead_messages: Gauge<f64, AtomicU64>,
    queue_consumers: Gauge<f64, AtomicU64>,
    queue_unusable: Gauge<f64, AtomicU64>,
    polls_closing: [Gauge; WaitsFor::NAMES.len()],
}

impl Metrics {
    /// The metrics of a process with so many `cores`; `admission` collects those of their ballot queues.
    pub fn new(cores: usize, admission: Box<dyn Collector>) -> Self {
        let mut registry = Registry::with_prefix("throng");
        let intake = Arc::new(IntakeMetrics::register(&mut registry));
        intake.register_confirms(&mut registry);
        let results = Arc::new(ResultsMetrics::register(&mut registry));
        let mut gauge = |name, help| {
            let gauge = Gauge::<f64, AtomicU64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let queue_messages = gauge(
            "queue_messages",
            "Messages that wait for a worker, each with up to 1,000 ballots; NaN while the broker doesn't tell",
        );
        let dead_messages = gauge(
            "dead_messages",
            "Messages that no worker could read, so that their ballots don't count; NaN while the broker doesn't tell",
        );
        let queue_consumers =
            gauge("queue_consumers", "Consumers of the queue of ballots; NaN while the broker doesn't tell");
        let queue_unusable = gauge(
            "queue_unusable",
            "1 while the broker is there and would lose what it confirms or refuses it, until its settings are changed",
        );
        let polls_closing = register_polls_closing(&mut registry);
        let http: Vec<Arc<HttpMetrics>> = (0..cores).map(|_| Arc::default()).collect();
        registry.register_collector(Box::new(PerCore(http.clone())));
        registry.register_collector(admission);
        let network_limit = NetworkLimitMetrics::register(&mut registry);
        let anomaly = AnomalyMetrics::register(&mut registry);
        let webhooks = WebhookMetrics::register(&mut registry);
        let database_log = DatabaseLogMetrics::register(&mut registry);
        let log_lines_dropped = register_log(&mut registry);
        Self {
            registry,
            intake,
            http,
            network_limit,
            anomaly,
            webhooks,
            results,
            database_log,
            log_lines_dropped,
            queue_messages,
            dead_messages,
            queue_consumers,
            queue_unusable,
            polls_closing,
        }
    }

    /// Reports the messages on the broker's queues, if known. The broker is unusable if it is available but its operator has to
    /// change its settings before it can be used.
    pub fn on_queues(&self, messages: Option<Messages>, is_unusable: bool) {
        let value = |count: fn(Messages) -> u64| messages.map_or(f64::NAN, |messages| count(messages) as f64);
        self.queue_messages.set(value(|messages| messages.ballots));
        self.dead_messages.set(value(|messages| messages.dead));
        self.queue_consumers.set(value(|messages| messages.consumers));
        self.queue_unusable.set(if is_unusable { 1.0 } else { 0.0 });
    }

    /// Reports the number of polls that have closed but have no final result yet, and what they wait for.
    pub(crate) fn on_closing(&self, polls: usize, waits_for: WaitsFor) {
        self.polls_closing.iter().for_each(|gauge| {
            gauge.set(0);
        });
        self.polls_closing[waits_for.index()].set(i64::try_from(polls).unwrap_or(i64::MAX));
    }

    /// The text of a scrape's response.
    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// The metrics of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    /// Recording.
    intake: Arc<IntakeMetrics>,
    consumers: Arc<Consumers>,
    /// The result broadcaster.
    pub broadcaster: Arc<BroadcasterMetrics>,
    /// Dropped log lines.
    pub log_lines_dropped: Counter,
}

impl WorkerMetrics {
    /// The metrics of a worker, all at zero.
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let mut registry = Registry::with_prefix("throng_worker");
        let intake = Arc::new(IntakeMetrics::register(&mut registry));
        let consumers = Consumers::register(&mut registry, clock);
        let broadcaster = Arc::new(BroadcasterMetrics::register(&mut registry));
        let log_lines_dropped = register_log(&mut registry);
        Self { registry, intake, consumers, broadcaster, log_lines_dropped }
    }

    /// The metrics of one more consumer.
    pub fn consumer(&self) -> ConsumerMetrics {
        self.consumers.add(Arc::clone(&self.intake))
    }

    /// The text of a scrape's response.
    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// A gauge for each reason, all exported from the start, at zero.
fn register_polls_closing(registry: &mut Registry) -> [Gauge; WaitsFor::NAMES.len()] {
    let family: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
    let help = "Polls behind a broker that have closed and have no final result yet, by what it waits for";
    registry.register("polls_closing", help, family.clone());
    WaitsFor::NAMES.map(|name| family.get_or_create(&[("waits_for", name)]).clone())
}

fn register_log(registry: &mut Registry) -> Counter {
    let dropped = Counter::default();
    registry.register(
        "log_lines_dropped",
        "Lines of the log dropped, since they were read too slowly",
        dropped.clone(),
    );
    dropped
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("writing to a String can't fail");
    text
}
