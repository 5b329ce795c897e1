//! Bytes of responses that wait until their clients take them: a bound for each connection and one for all of a core's.
//!
//! A client decides how much of a response it takes (RFC 9113, 5.2), and may ask for many while it takes none. So a
//! request begins only while its connection has room, and a core that holds too much in all refuses requests before
//! anything was done for them, and ends the connections that have left a response waiting for longest.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

/// Bytes that wait on one connection before its next request begins.
pub(super) const CONNECTION_BYTES_MAX: usize = 256 * 1024;

/// Bytes that are set apart for a response that is being made, until its length is known: those of most pages, and
/// of most responses to a ballot.
pub(super) const READ_BYTES: usize = 32 * 1024;
pub(super) const BALLOT_BYTES: usize = 2 * 1024;

/// Bytes that wait on all connections of a process before requests are refused.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// While half of that waits, the longest that a response may.
pub(super) const PRESSED_WAIT_MAX: Duration = Duration::from_secs(2);

/// Bytes of responses that wait on all connections of a core.
#[derive(Clone, Debug)]
pub(crate) struct UnsentBytes {
    gauge: Gauge,
    max: i64,
}

impl UnsentBytes {
    /// None yet; counted in `gauge`, on one of `cores`.
    pub(crate) fn new(gauge: Gauge, cores: usize) -> Self {
        Self { gauge, max: signed(BYTES_MAX / cores.max(1)) }
    }

    /// Whether responses may not wait as long as they otherwise may.
    pub(super) fn is_pressed(&self) -> bool {
        self.gauge.get() >= self.max / 2
    }

    /// Whether no request may begin.
    pub(super) fn is_full(&self) -> bool {
        self.gauge.get() >= self.max
    }

    /// Whether even responses to requests that have begun are too many.
    pub(super) fn is_beyond_bound(&self) -> bool {
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
