//! Log lines about batches that failed.

use std::fmt::Display;

use throng_domain::clock::Timestamp;
use tracing::warn;

use crate::log_rate_limiter::LogRateLimiter;
use crate::metrics::BatchFailure;

/// Lines per second and kind: with the store away, a thousand batches fail in a second.
const LINES_MAX: u32 = 1;

/// Log lines about failed batches, shared by all that record or publish on this node. Each kind has its own rate limit, so
/// that an unknown outcome isn't lost among batches that were not taken.
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
    /// Logs that a batch of so many ballots failed with this error, unless this second has its line already.
    pub(super) fn log(&self, outcome: BatchFailure, error: &dyn Display, ballots: usize, now: Timestamp) {
        let (log_limiter, words) = match outcome {
            BatchFailure::NotTaken => (&self.not_taken, "a batch was not taken"),
            BatchFailure::Unknown => (&self.unknown, "whether a batch was taken is unknown"),
        };
        if let Some(unlogged) = log_limiter.take(now) {
            warn!(%error, ballots, unlogged, "{words}");
        }
    }
}
