//! How long is waited from one attempt to the next.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Short: once the broker is back, votes are to be taken again soon.
const LONGEST: Duration = Duration::from_secs(1);

/// Twice as long after each attempt, up to a bound.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}
