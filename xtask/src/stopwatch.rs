//! Real time: xtask measures and waits for other processes, so no clock can be injected.

use std::time::{Duration, Instant};

/// How often a condition is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The same where looking costs something.
const LOOK_PATIENTLY_EVERY: Duration = Duration::from_millis(50);

/// Time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "real processes take real time; this is the one place that reads it")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks `found` again and again until it has an answer, for `at_most`; `None` if it never had one.
pub fn wait_until<T>(at_most: Duration, found: impl FnMut() -> Option<T>) -> Option<T> {
    look(LOOK_EVERY, at_most, found)
}

/// Like [`wait_until`], but asks less often: for questions that are work for whoever is waited for.
pub fn wait_patiently<T>(at_most: Duration, found: impl FnMut() -> Option<T>) -> Option<T> {
    look(LOOK_PATIENTLY_EVERY, at_most, found)
}

#[expect(clippy::disallowed_methods, reason = "another process's state has no event to wait for")]
fn look<T>(every: Duration, at_most: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(answer) = found() {
            return Some(answer);
        }
        if watch.elapsed() >= at_most {
            return None;
        }
        std::thread::sleep(every);
    }
}
