//! A worker's lag: the time from the acceptance of ballots until they are recorded.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use throng_domain::ballot::Ballot;
use throng_domain::clock::Clock;
use throng_domain::store::Outcome;

use super::intake::{BatchFailure, IntakeMetrics};

/// The value of [`ConsumerMetrics::oldest_ms`] without a batch in flight.
const NONE_MS: i64 = i64::MAX;

/// Metrics of one consumer.
#[derive(Clone, Debug)]
pub struct ConsumerMetrics {
    intake: Arc<IntakeMetrics>,
    lag_seconds: Histogram,
    clock: Arc<dyn Clock>,
    /// When the oldest ballot in flight was accepted, in milliseconds since the Unix epoch.
    oldest_ms: Arc<AtomicI64>,
}

impl ConsumerMetrics {
    /// Reports ballots received from the queue.
    pub fn taken(&self, ballots: &[Ballot]) {
        let oldest = ballots.iter().map(|ballot| ballot.accepted_at.0).min();
        self.oldest_ms.store(oldest.unwrap_or(NONE_MS), Ordering::Relaxed);
    }

    /// Reports that the received ballots are recorded, with their outcomes, and that the store took `elapsed`.
    pub fn recorded(&self, outcomes: &[Outcome], elapsed: Duration) {
        let oldest_ms = self.oldest_ms.swap(NONE_MS, Ordering::Relaxed);
        if oldest_ms != NONE_MS {
            self.lag_seconds.observe(age_seconds(oldest_ms, &*self.clock));
        }
        self.intake.recorded(outcomes, elapsed);
    }

    /// Reports that recording the received ballots failed; the worker keeps them.
    pub fn failed(&self, batch: BatchFailure) {
        self.intake.failed(batch);
    }
}

/// All consumers of a worker.
#[derive(Debug)]
pub(super) struct Consumers {
    lag_seconds: Histogram,
    clock: Arc<dyn Clock>,
    oldest_ms: Mutex<Vec<Arc<AtomicI64>>>,
}

impl Consumers {
    pub(super) fn register(registry: &mut Registry, clock: &Arc<dyn Clock>) -> Arc<Self> {
        // From 1 ms to 9 minutes.
        let lag_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 20));
        let help = "From the acceptance of a batch's oldest ballot until it was recorded";
        registry.register_with_unit("record_lag", help, Unit::Seconds, lag_seconds.clone());
        let consumers = Arc::new(Self { lag_seconds, clock: Arc::clone(clock), oldest_ms: Mutex::default() });
        registry.register_collector(Box::new(OldestBallot(Arc::clone(&consumers))));
        consumers
    }

    pub(super) fn add(&self, intake: Arc<IntakeMetrics>) -> ConsumerMetrics {
        let oldest_ms = Arc::new(AtomicI64::new(NONE_MS));
        self.oldest_ms.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&oldest_ms));
        ConsumerMetrics { intake, lag_seconds: self.lag_seconds.clone(), clock: Arc::clone(&self.clock), oldest_ms }
    }

    /// The age of the oldest ballot in flight, in seconds; 0 if there is none.
    fn oldest_age(&self) -> f64 {
        let consumers = self.oldest_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest_ms =
            consumers.iter().map(|consumer| consumer.load(Ordering::Relaxed)).min().filter(|ms| *ms != NONE_MS);
        oldest_ms.map_or(0.0, |oldest_ms| age_seconds(oldest_ms, &*self.clock))
    }
}

/// Never negative: the clocks of web nodes may differ from this one.
fn age_seconds(since_ms: i64, clock: &dyn Clock) -> f64 {
    let age_ms = clock.now().0.saturating_sub(since_ms).max(0);
    Duration::from_millis(age_ms.unsigned_abs()).as_secs_f64()
}

/// Determines the age of the oldest ballot at a scrape.
#[derive(Debug)]
struct OldestBallot(Arc<Consumers>);

impl Collector for OldestBallot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let age = ConstGauge::new(self.0.oldest_age());
        let help = "Age of the oldest ballot that was received from the queue and isn't recorded yet";
        age.encode(encoder.encode_descriptor("oldest_ballot_age", help, Some(&Unit::Seconds), age.metric_type())?)
    }
}
