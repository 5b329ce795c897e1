//! What is measured, in the text format that Prometheus reads, stage by stage on a ballot's way.
//!
//! Nothing is labelled by poll: whoever can make polls could make labels without end. What a label may say is known
//! before the first ballot, and every handle is found then; the one exception is in [`database_log`].

mod broadcaster;
mod consumer;
mod database_log;
mod http;
mod intake;
mod results;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use throng_backends::queue::rabbitmq::Messages;
use throng_domain::clock::Clock;

pub use self::broadcaster::BroadcasterMetrics;
pub use self::consumer::ConsumerMetrics;
use self::consumer::Consumers;
pub use self::database_log::DatabaseLogMetrics;
pub use self::http::HttpMetrics;
use self::http::PerCore;
pub use self::intake::{BatchFailure, IntakeMetrics};
pub use self::results::ResultsMetrics;
use crate::closing::WaitsFor;
use crate::intake::BallotQueue;

/// Everything that a web node measures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of intake.
    pub intake: Arc<IntakeMetrics>,
    /// Of each core's HTTP, by the core's number.
    pub http: Vec<Arc<HttpMetrics>>,
    /// Of coming by results.
    pub results: Arc<ResultsMetrics>,
    /// Of the log of a database in a file.
    pub database_log: DatabaseLogMetrics,
    /// Lines of the log that were dropped.
    pub log_lines_dropped: Counter,
    queue_messages: Gauge<f64, AtomicU64>,
    dead_messages: Gauge<f64, AtomicU64>,
    queue_consumers: Gauge<f64, AtomicU64>,
    queue_unusable: Gauge<f64, AtomicU64>,
    polls_closing: [Gauge; WaitsFor::NAMES.len()],
}

impl Metrics {
    /// Metrics of a process whose cores have these ballot queues.
    pub fn new(ballot_queues: &[Arc<BallotQueue>]) -> Self {
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
        let http: Vec<Arc<HttpMetrics>> = ballot_queues.iter().map(|_| Arc::default()).collect();
        registry.register_collector(Box::new(PerCore { http: http.clone(), ballot_queues: ballot_queues.to_vec() }));
        let database_log = DatabaseLogMetrics::register(&mut registry);
        let log_lines_dropped = register_log(&mut registry);
        Self {
            registry,
            intake,
            http,
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

    /// These messages are on the broker's queues, as far as is known; it is unusable if it is there and somebody has to change
    /// it before it can be used.
    pub fn on_queues(&self, messages: Option<Messages>, is_unusable: bool) {
        let shown = |count: fn(Messages) -> u64| messages.map_or(f64::NAN, |messages| count(messages) as f64);
        self.queue_messages.set(shown(|messages| messages.ballots));
        self.dead_messages.set(shown(|messages| messages.dead));
        self.queue_consumers.set(shown(|messages| messages.consumers));
        self.queue_unusable.set(if is_unusable { 1.0 } else { 0.0 });
    }

    /// So many polls have closed and have no final result yet, for want of this.
    pub(crate) fn on_closing(&self, polls: usize, waits_for: WaitsFor) {
        self.polls_closing.iter().for_each(|gauge| {
            gauge.set(0);
        });
        self.polls_closing[waits_for.index()].set(i64::try_from(polls).unwrap_or(i64::MAX));
    }

    /// The text that a scrape gets.
    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// Everything that a worker measures.
#[derive(Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    /// Of its recording.
    intake: Arc<IntakeMetrics>,
    consumers: Arc<Consumers>,
    /// Of telling all nodes.
    pub broadcaster: Arc<BroadcasterMetrics>,
    /// Lines of the log that were dropped.
    pub log_lines_dropped: Counter,
}

impl WorkerMetrics {
    /// Metrics of a worker that has measured nothing yet.
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

    /// The text that a scrape gets.
    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// A gauge for each reason, all there from the start, at zero.
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
