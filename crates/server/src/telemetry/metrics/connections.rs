//! Connection metrics, which the network layer keeps.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// One core's connection metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    /// Connections open now.
    pub open: Gauge,
    /// Connections accepted so far.
    pub accepted: Counter,
}
