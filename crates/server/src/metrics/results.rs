//! Coming by results: heard from workers, found in the shared cache, or asked of the database.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What a web node measures of its results' ways.
#[derive(Debug, Default)]
pub struct ResultsMetrics {
    /// Messages with tallies that were received.
    pub received: Counter,
    /// Results that were in the shared cache, and good.
    pub cache_hits: Counter,
    /// Results that weren't there, or were too old.
    pub cache_misses: Counter,
    /// Results asked of the database.
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
