//! A circuit breaker: whether requests are sent to a server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many calls in a row must fail before no more are made.
const FAILURES_MAX: u32 = 3;

/// How long no call is made once the breaker has opened, and between one retry and the next.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens after a few failures in a row, so that an unavailable server costs one deadline per second instead of one per
/// call, and closes with the first success.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While open: when one call may retry.
    retry_at: Option<Instant>,
}

/// How the outcome of a call changed the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No change to log.
    None,
    /// The server was available and is now unavailable.
    Opened,
    /// The server was unavailable and is now available.
    Closed,
}

impl Breaker {
    /// Whether a call may be made now. While open, one call per interval may.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        let Some(retry_at) = state.retry_at else { return true };
        if now < retry_at {
            return false;
        }
        // Set now and not at the end of this retry, which may never complete: its caller may give up.
        state.retry_at = Some(now + RETRY_AFTER);
        true
    }

    /// A call succeeded.
    pub(super) fn succeeded(&self) -> Change {
        let before = std::mem::take(&mut *self.state());
        before.retry_at.map_or(Change::None, |_| Change::Closed)
    }

    /// A call failed, or took too long.
    pub(super) fn failed(&self, now: Instant) -> Change {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES_MAX || state.retry_at.is_some() {
            return Change::None;
        }
        state.retry_at = Some(now + RETRY_AFTER);
        Change::Opened
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        let changes = [(); 4].map(|()| breaker.failed(now));
        assert_eq!(changes, [Change::None, Change::None, Change::Opened, Change::None]);
        breaker
    }

    #[test]
    fn opens_only_after_failures_in_a_row() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..10 {
            assert_eq!([breaker.failed(now), breaker.failed(now), breaker.succeeded()], [Change::None; 3]);
        }
        assert!(breaker.admits(now));
        assert!(!opened(now).admits(now));
    }

    #[test]
    fn open_breaker_admits_one_call_per_interval() {
        let mut now = Instant::now();
        let breaker = opened(now);
        for _ in 0..3 {
            now += RETRY_AFTER;
            assert!(breaker.admits(now));
            assert!(!breaker.admits(now), "one is retrying");
            assert_eq!(breaker.failed(now), Change::None);
        }
        now += RETRY_AFTER;
        assert!(breaker.admits(now));
        assert_eq!([breaker.succeeded(), breaker.succeeded()], [Change::Closed, Change::None]);
        assert!(breaker.admits(now) && breaker.admits(now));
    }
}
