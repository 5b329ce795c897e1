//! Says that a clock was set back, the machine's or the database's, for as long as it is behind the time by which this
//! process judges.

use std::time::Duration;

use throng_domain::clock::Clock;
use tokio::time::Instant;
use tracing::warn;

/// By how much the clock must be behind to be worth a line, in milliseconds.
const BEHIND_MS: i64 = 1_000;

/// How often it is said.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What was said, and when.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    told: Option<Instant>,
}

impl ClockWatch {
    /// Logs it if it is so, once in a while; `whose` clock this one follows.
    pub(super) fn look(&mut self, clock: &dyn Clock, whose: &str) {
        let behind_ms = clock.ahead_ms();
        if behind_ms < BEHIND_MS {
            self.told = None;
        } else if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            warn!(
                behind_ms,
                "{whose} clock was set back; polls are judged by a time that goes on from the latest one, a tenth \
                 slower, until the clock has caught up. If the clock was wrong before and is right now, restart throng"
            );
        }
    }
}
