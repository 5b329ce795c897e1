//! Exponential backoff between attempts to connect.

use std::time::Duration;

const DELAY_MIN: Duration = Duration::from_millis(100);

/// Short, so that votes are accepted soon after the broker becomes available.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Doubles the delay after each attempt, up to [`DELAY_MAX`].
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(DELAY_MIN)
    }
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(DELAY_MAX);
    }
}
