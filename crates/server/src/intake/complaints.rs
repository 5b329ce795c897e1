//! What the log says of batches that aren't safe.

use std::fmt::Display;

use throng_domain::clock::Timestamp;
use tracing::warn;

use crate::allowance::Allowance;
use crate::metrics::NotSafe;

/// Lines of a kind in a second's log: a store that is away fails a thousand batches in it.
const LINES_MAX: u32 = 1;

/// The lines about batches that failed, of all that record or publish on this node. Each kind has its own: that nobody
/// knows what became of a batch isn't lost among those that nothing happened to.
#[derive(Debug)]
pub struct Complaints {
    not_taken: Allowance,
    unknown: Allowance,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { not_taken: Allowance::new(LINES_MAX), unknown: Allowance::new(LINES_MAX) }
    }
}

impl Complaints {
    /// Logs that a batch of so many ballots failed with this error, unless the second has its line.
    pub(super) fn log(&self, outcome: NotSafe, error: &dyn Display, ballots: usize, now: Timestamp) {
        let (allowance, words) = match outcome {
            NotSafe::NotTaken => (&self.not_taken, "a batch was not taken"),
            NotSafe::Unknown => (&self.unknown, "whether a batch was taken isn't known"),
        };
        if let Some(unlogged) = allowance.take(now) {
            warn!(%error, ballots, unlogged, "{words}");
        }
    }
}
