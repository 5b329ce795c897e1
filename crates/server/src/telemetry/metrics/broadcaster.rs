//! Metrics of a worker's messages to all nodes.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Metrics of the tallies that a worker sends to all nodes.
#[derive(Debug, Default)]
pub struct BroadcasterMetrics {
    /// Messages that the broker accepted.
    pub sent: Counter,
    /// Messages that the broker didn't accept; each is replaced by the next one.
    pub failed: Counter,
}

impl BroadcasterMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("announcements_sent", "Messages with tallies to all nodes", metrics.sent.clone());
        let help = "Messages with tallies that the broker did not take; the next one replaces each";
        registry.register("announcements_failed", help, metrics.failed.clone());
        metrics
    }
}
