//! Telling all nodes of new tallies.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What a worker measures of its announcements.
#[derive(Debug, Default)]
pub struct HeraldMetrics {
    /// Announcements that the broker took.
    pub sent: Counter,
    /// Announcements that it didn't; the next one makes up for each.
    pub failed: Counter,
}

impl HeraldMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("announcements_sent", "Announcements of tallies to all nodes", metrics.sent.clone());
        let help = "Announcements that the broker did not take; the next one makes up for each";
        registry.register("announcements_failed", help, metrics.failed.clone());
        metrics
    }
}
