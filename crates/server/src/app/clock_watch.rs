//! Logs that a clock, the machine's or the database's, was set back, for as long as it is behind the time by which this process
//! opens and closes polls.

use std::time::Duration;

use throng_domain::clock::Clock;
use tokio::time::Instant;
use tracing::warn;

/// How far the clock must be behind for a log line, in milliseconds.
const BEHIND_MS: i64 = 1_000;

/// The shortest time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The state of the check.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// The time of the last log line, unless the clock has caught up since.
    logged: Option<Instant>,
}

impl ClockWatch {
    /// Logs if the clock is behind, at most once a minute; `whose` names the owner of the clock that `clock` follows.
    pub(super) fn check(&mut self, clock: &dyn Clock, whose: &str) {
        let behind_ms = clock.ahead_ms();
        if behind_ms < BEHIND_MS {
            self.logged = None;
        } else if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            warn!(
                behind_ms,
                "{whose} clock was set back; polls open and close by a time that continues from the latest one, a tenth \
                 slower, until the clock has caught up. If the clock was wrong before and is correct now, restart throng"
            );
        }
    }
}
