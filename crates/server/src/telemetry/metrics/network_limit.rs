//! Metrics of the limit of votes per network, which intake keeps.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The limit's metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct NetworkLimitMetrics {
    /// The networks that have used a part of their share, once for each poll.
    pub networks: Gauge,
    /// Votes of networks that there was no room for.
    pub unlimited: Counter,
}

impl NetworkLimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "limited_networks",
            "Networks that have used a part of their share, once for each poll; 0 without VOTES_PER_NETWORK",
            metrics.networks.clone(),
        );
        registry.register(
            "votes_unlimited",
            "Votes that VOTES_PER_NETWORK did not limit, since too many other networks were voting",
            metrics.unlimited.clone(),
        );
        metrics
    }
}
