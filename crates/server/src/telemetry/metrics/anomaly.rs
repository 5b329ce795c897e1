//! Metrics of the anomaly scores.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The reasons of a score, by which the polls over the threshold are counted.
pub const ANOMALY_REASONS: [&str; 6] =
    ["one_network", "few_networks", "one_device", "duplicates", "bad_proofs", "same_choices"];

/// The scores' metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct AnomalyMetrics {
    /// The highest score of all polls.
    pub score_max: Gauge,
    /// The polls over the threshold.
    pub polls: Gauge,
    reasons: Family<[(&'static str, &'static str); 1], Counter>,
}

impl AnomalyMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "anomaly_score_max",
            "Highest anomaly score of all polls, 0 to 100, of their votes within the last minute",
            metrics.score_max.clone(),
        );
        registry.register(
            "anomaly_polls",
            "Polls whose anomaly score is over the threshold, so that those with the proof adaptive ask for one",
            metrics.polls.clone(),
        );
        registry.register(
            "anomaly_reasons",
            "Polls whose anomaly score went over the threshold, by each of its reasons",
            metrics.reasons.clone(),
        );
        for reason in ANOMALY_REASONS {
            drop(metrics.reasons.get_or_create(&[("reason", reason)]));
        }
        metrics
    }

    /// Counts a poll that went over the threshold for this reason, one of [`ANOMALY_REASONS`].
    pub fn count_reason(&self, reason: &'static str) {
        self.reasons.get_or_create(&[("reason", reason)]).inc();
    }

    /// How many polls went over the threshold for this reason.
    pub fn reasons(&self, reason: &'static str) -> u64 {
        self.reasons.get_or_create(&[("reason", reason)]).get()
    }
}
