//! Metrics of the sources of results: messages from workers, the shared cache, and the database.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Metrics of the sources of a web node's results.
#[derive(Debug, Default)]
pub struct ResultsMetrics {
    /// Received messages with tallies.
    pub received: Counter,
    /// Results found in the shared cache, and current.
    pub cache_hits: Counter,
    /// Results not in the shared cache, or too old.
    pub cache_misses: Counter,
    /// Results queried from the database.
    pub queries: Counter,
}

impl ResultsMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            ("announcements_received", "Messages with tallies that this node received", &metrics.received),
            ("result_cache_hits", "Results found in the shared cache, and good", &metrics.cache_hits),
            ("result_cache_misses", "Results not in the shared cache, or too old there", &metrics.cache_misses),
            ("result_queries", "Results asked of the database", &metrics.queries),
        ] {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}
