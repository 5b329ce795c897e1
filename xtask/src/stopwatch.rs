//! Real time: xtask measures and waits for other processes, so no clock can be injected.

use std::time::{Duration, Instant};

/// How often a condition is checked while it is waited for.
const CHECK_EVERY: Duration = Duration::from_millis(1);

/// The same where a check is expensive.
const CHECK_RARELY_EVERY: Duration = Duration::from_millis(50);

/// Time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes run in real time; this is the only place that reads it"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Calls `found` repeatedly until it returns a value, for `at_most`; `None` if it never did.
pub fn wait_until<T>(at_most: Duration, found: impl FnMut() -> Option<T>) -> Option<T> {
    poll(CHECK_EVERY, at_most, found)
}

/// Like [`wait_until`], but checks less often: for checks that cause work for the process that is waited for.
pub fn wait_checking_rarely<T>(at_most: Duration, found: impl FnMut() -> Option<T>) -> Option<T> {
    poll(CHECK_RARELY_EVERY, at_most, found)
}

#[expect(clippy::disallowed_methods, reason = "another process's state has no event to wait for")]
fn poll<T>(every: Duration, at_most: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(value) = found() {
            return Some(value);
        }
        if watch.elapsed() >= at_most {
            return None;
        }
        std::thread::sleep(every);
    }
}
