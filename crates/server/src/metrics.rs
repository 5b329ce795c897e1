//! What is measured, in the text format that Prometheus reads.
//!
//! Nothing is labelled by poll: whoever can make polls could make labels without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use throng_domain::store::Outcome;

use crate::intake::Desk;

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of the recorder.
    pub intake: Arc<IntakeMetrics>,
    /// Of each core's HTTP, by the core's number.
    pub http: Vec<Arc<HttpMetrics>>,
}

impl Metrics {
    /// Metrics of a process whose cores have these desks.
    pub fn new(desks: &[Arc<Desk>]) -> Self {
        let mut registry = Registry::with_prefix("throng");
        let intake = Arc::new(IntakeMetrics::register(&mut registry));
        let http: Vec<Arc<HttpMetrics>> = desks.iter().map(|_| Arc::default()).collect();
        registry.register_collector(Box::new(PerCore { http: http.clone(), desks: desks.to_vec() }));
        Self { registry, intake, http }
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
    pub intake: Arc<IntakeMetrics>,
}

impl WorkerMetrics {
    /// Metrics of a worker that has measured nothing yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("throng_worker");
        let intake = Arc::new(IntakeMetrics::register(&mut registry));
        Self { registry, intake }
    }

    /// The text that a scrape gets.
    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("writing to a String can't fail");
    text
}

/// What the recorder measures, once a batch.
#[derive(Debug)]
pub struct IntakeMetrics {
    batch_ballots: Histogram,
    record_seconds: Histogram,
    recorded: [Counter; OUTCOMES.len()],
    accepted: Counter,
}

impl IntakeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let recorded: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        registry.register("ballots", "Ballots that reached the store, by what came of them", recorded.clone());
        let metrics = Self {
            batch_ballots: Histogram::new(exponential_buckets(1.0, 2.0, 16)),
            record_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            accepted: Counter::default(),
            // Each is there from the start, at zero.
            recorded: OUTCOMES.map(|outcome| recorded.get_or_create(&[("outcome", outcome)]).clone()),
        };
        registry.register("batch_ballots", "Ballots recorded in one transaction", metrics.batch_ballots.clone());
        registry.register_with_unit(
            "record",
            "Time that making a batch safe took: recording it, its sync of the disk included, or the broker's confirm",
            Unit::Seconds,
            metrics.record_seconds.clone(),
        );
        registry.register("ballots_accepted", "Ballots that the broker confirmed", metrics.accepted.clone());
        metrics
    }

    /// The broker confirmed so many ballots.
    pub fn accepted(&self, ballots: usize) {
        self.accepted.inc_by(ballots as u64);
    }

    /// A batch of `ballots` took `elapsed`.
    pub fn batch(&self, ballots: usize, elapsed: Duration) {
        self.batch_ballots.observe(ballots as f64);
        self.record_seconds.observe(elapsed.as_secs_f64());
    }

    /// What came of a batch's ballots.
    pub fn outcomes(&self, outcomes: &[Outcome]) {
        let mut counts = [0; OUTCOMES.len()];
        for outcome in outcomes {
            counts[outcome_index(outcome)] += 1;
        }
        for (recorded, count) in self.recorded.iter().zip(counts) {
            recorded.inc_by(count);
        }
    }
}

const OUTCOMES: [&str; 5] = ["counted", "counted_before", "key_taken", "too_early", "too_late"];

fn outcome_index(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Counted => 0,
        Outcome::CountedBefore => 1,
        Outcome::KeyTaken { .. } => 2,
        Outcome::TooEarly => 3,
        Outcome::TooLate => 4,
    }
}

/// What one core's HTTP measures. A core of its own for each keeps two cores from fighting over one cache line.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
    /// Ballots refused before intake took them, because too many were waiting.
    refused_busy: AtomicU64,
    /// Connections open now.
    pub connections: Gauge,
}

impl HttpMetrics {
    /// An answer of this status went out.
    pub fn answered(&self, status: u16) {
        if let Some(answers) = self.answers.get(usize::from(status / 100)) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A ballot was refused because too many were waiting.
    pub fn ballot_refused(&self) {
        self.refused_busy.fetch_add(1, Ordering::Relaxed);
    }
}

/// Adds up what the cores measured, at the moment of a scrape.
#[derive(Debug)]
struct PerCore {
    http: Vec<Arc<HttpMetrics>>,
    desks: Vec<Arc<Desk>>,
}

impl PerCore {
    fn sum(&self, value: impl Fn(&HttpMetrics) -> u64) -> u64 {
        self.http.iter().map(|core| value(core)).sum()
    }
}

impl Collector for PerCore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let answers = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "http_answers",
            "HTTP answers, by class of status",
            None,
            answers.metric_type(),
        )?;
        for class in 1..=5usize {
            let count = self.sum(|core| core.answers[class].load(Ordering::Relaxed));
            let label = [("class", format!("{class}xx"))];
            ConstCounter::new(count).encode(family.encode_family(&label)?)?;
        }
        let refused = ConstCounter::new(self.sum(|core| core.refused_busy.load(Ordering::Relaxed)));
        let help = "Ballots refused because too many were waiting; nothing of them was taken";
        refused.encode(encoder.encode_descriptor("ballots_refused", help, None, refused.metric_type())?)?;

        let gauge = |value: i64| ConstGauge::new(value);
        let connections = gauge(self.http.iter().map(|core| core.connections.get()).sum());
        connections.encode(encoder.encode_descriptor(
            "connections",
            "Connections open now",
            None,
            connections.metric_type(),
        )?)?;
        let waiting: usize = self.desks.iter().map(|desk| desk.waiting()).sum();
        let waiting = gauge(i64::try_from(waiting).unwrap_or(i64::MAX));
        waiting.encode(encoder.encode_descriptor(
            "ballots_waiting",
            "Ballots admitted and not yet on the disk",
            None,
            waiting.metric_type(),
        )?)
    }
}
