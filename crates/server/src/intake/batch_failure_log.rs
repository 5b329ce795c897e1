//! Log lines about batches that failed.

use std::fmt::Display;

use throng_domain::clock::Timestamp;
use tracing::warn;

use crate::telemetry::log_rate_limiter::LogRateLimiter;
use crate::telemetry::metrics::BatchFailure;

/// Log lines per second and kind: while the store is unavailable, a thousand batches fail per second.
const LINES_MAX: u32 = 1;

/// Logs failed batches; shared by the recorder or all publish loops of this node. Each kind has its own rate limit, so that an
/// unknown outcome isn't lost among batches that were not accepted.
#[derive(Debug)]
pub struct BatchFailureLog {
    not_taken: LogRateLimiter,
    unknown: LogRateLimiter,
}

impl Default for BatchFailureLog {
    fn default() -> Self {
        Self { not_taken: LogRateLimiter::new(LINES_MAX), unknown: LogRateLimiter::new(LINES_MAX) }
    }
}

impl BatchFailureLog {
    /// Logs that a batch of this number of ballots failed with this error, unless a line was logged in this second already.
    pub(super) fn log(&self, outcome: BatchFailure, error: &dyn Display, ballots: usize, now: Timestamp) {
        let (log_limiter, message) = match outcome {
            BatchFailure::NotTaken => (&self.not_taken, "a batch was not taken"),
            BatchFailure::Unknown => (&self.unknown, "the outcome of a batch is unknown"),
        };
        if let Some(unlogged) = log_limiter.take(now) {
            warn!(%error, ballots, unlogged, "{message}");
        }
    }
}
