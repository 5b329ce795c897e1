//! Limits the bytes of responses that clients haven't read, per connection and for all connections of a core.
//!
//! A client controls how much of a response it reads (RFC 9113, 5.2), and may request many while it reads none. So a request
//! begins only while its connection has room, and a core with too many unsent bytes rejects requests before any processing, and
//! closes the connections with the oldest unsent responses.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

/// Unsent bytes on one connection at which no further request begins.
pub(super) const CONNECTION_BYTES_MAX: usize = 256 * 1024;

/// Bytes reserved for a response until its length is known: that of most pages, and that of most responses to a ballot.
pub(super) const READ_BYTES: usize = 32 * 1024;
pub(super) const BALLOT_BYTES: usize = 2 * 1024;

/// Unsent bytes on all connections of a process at which requests are rejected.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a response may be unsent while half of [`BYTES_MAX`] or more is.
pub(super) const PRESSURE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Unsent bytes on all connections of a core.
#[derive(Clone, Debug)]
pub(crate) struct UnsentBytes {
    gauge: Gauge,
    max: i64,
}

impl UnsentBytes {
    /// No bytes yet; `gauge` counts those of one of `cores`.
    pub(crate) fn new(gauge: Gauge, cores: usize) -> Self {
        Self { gauge, max: signed(BYTES_MAX / cores.max(1)) }
    }

    /// Whether responses may be unsent for [`PRESSURE_WAIT_MAX`] only.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.gauge.get() >= self.max / 2
    }

    /// Whether no request may begin.
    pub(super) fn is_full(&self) -> bool {
        self.gauge.get() >= self.max
    }

    /// Whether there are too many even for requests in flight.
    pub(super) fn is_beyond_limit(&self) -> bool {
        self.gauge.get() >= self.max.saturating_mul(2)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.gauge.inc_by(signed(bytes));
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.gauge.dec_by(signed(bytes));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
