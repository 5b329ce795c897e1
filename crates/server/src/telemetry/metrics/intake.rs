//! Intake metrics: batches, their durations, and the ballots' outcomes.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use throng_domain::store::{Outcome, StoreError};

/// Updated once per batch, by the recorder, a publish loop or a worker's consumer.
#[derive(Debug)]
pub struct IntakeMetrics {
    batch_ballots: Histogram,
    record_seconds: Histogram,
    confirm_seconds: Histogram,
    recorded: [Counter; OUTCOMES.len()],
    accepted: Counter,
    failed: [Counter; BATCH_FAILURES.len()],
}

/// Whether the store or the broker may have accepted a part of a failed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFailure {
    /// No part of it was accepted.
    NotTaken,
    /// It may have been accepted.
    Unknown,
}

impl BatchFailure {
    /// The kind of failure of a batch with this error of the store.
    pub fn of(error: &StoreError) -> Self {
        if matches!(error, StoreError::Unavailable(_)) { Self::NotTaken } else { Self::Unknown }
    }
}

const BATCH_FAILURES: [&str; 2] = ["not_taken", "unknown"];

const OUTCOMES: [&str; 8] =
    ["counted", "counted_before", "id_reused", "quota_used", "too_early", "too_late", "not_ready", "not_changeable"];

impl IntakeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            batch_ballots: Histogram::new(exponential_buckets(1.0, 2.0, 16)),
            record_seconds: duration(),
            confirm_seconds: duration(),
            recorded: labelled(registry, "ballots", "Ballots that reached the store, by outcome", OUTCOMES),
            accepted: Counter::default(),
            failed: labelled(registry, "batches_failed", "Batches that failed", BATCH_FAILURES),
        };
        registry.register("batch_ballots", "Ballots per batch", metrics.batch_ballots.clone());
        registry.register_with_unit(
            "record",
            "Time that recording a batch took, its sync of the disk included",
            Unit::Seconds,
            metrics.record_seconds.clone(),
        );
        metrics
    }

    /// Registers the metrics of a broker's confirms.
    pub(super) fn register_confirms(&self, registry: &mut Registry) {
        registry.register("ballots_accepted", "Ballots that the broker confirmed", self.accepted.clone());
        registry.register_with_unit(
            "confirm",
            "Time that a batch took to be published and confirmed by the broker",
            Unit::Seconds,
            self.confirm_seconds.clone(),
        );
    }

    /// Reports that the store took `elapsed` to record these ballots, with these outcomes.
    pub fn recorded(&self, outcomes: &[Outcome], elapsed: Duration) {
        self.batch_ballots.observe(outcomes.len() as f64);
        self.record_seconds.observe(elapsed.as_secs_f64());
        let mut counts = [0; OUTCOMES.len()];
        for outcome in outcomes {
            counts[outcome_index(outcome)] += 1;
        }
        for (recorded, count) in self.recorded.iter().zip(counts) {
            recorded.inc_by(count);
        }
    }

    /// Reports that the broker took `elapsed` to confirm so many `ballots`.
    pub fn confirmed(&self, ballots: usize, elapsed: Duration) {
        self.batch_ballots.observe(ballots as f64);
        self.confirm_seconds.observe(elapsed.as_secs_f64());
        self.accepted.inc_by(ballots as u64);
    }

    /// Reports a failed batch.
    pub fn failed(&self, batch: BatchFailure) {
        match batch {
            BatchFailure::NotTaken => self.failed[0].inc(),
            BatchFailure::Unknown => self.failed[1].inc(),
        };
    }
}

/// From 0.1 ms to 3.3 s.
fn duration() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 16))
}

/// A counter for each of these outcomes, all exported from the start, at zero.
fn labelled<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    outcomes: [&'static str; N],
) -> [Counter; N] {
    let family: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
    registry.register(name, help, family.clone());
    outcomes.map(|outcome| family.get_or_create(&[("outcome", outcome)]).clone())
}

fn outcome_index(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Counted => 0,
        Outcome::CountedBefore | Outcome::Outdated => 1,
        Outcome::IdReused => 2,
        Outcome::QuotaUsed { .. } | Outcome::OptionQuotaUsed(_) => 3,
        Outcome::TooEarly => 4,
        Outcome::TooLate => 5,
        Outcome::NotReady => 6,
        Outcome::NotChangeable => 7,
    }
}
