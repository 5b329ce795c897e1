//! Whether a server is asked at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many calls in a row must fail before no more are made.
const FAILURES_MAX: u32 = 3;

/// How long no call is made then, and between one try and the next.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens after a few failures in a row, so that a server that is away costs a deadline a second instead of one a call,
/// and closes with the first success.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While open: when one call may try.
    retry_at: Option<Instant>,
}

/// What a call's end has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing worth a word.
    None,
    /// The server was there, and is away.
    Away,
    /// The server was away, and is back.
    Back,
}

impl Breaker {
    /// Whether a call may be made now. While open, one a while may.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        let Some(retry_at) = state.retry_at else { return true };
        if now < retry_at {
            return false;
        }
        // Set now and not at this try's end, which may never come: its caller may give up.
        state.retry_at = Some(now + RETRY_AFTER);
        true
    }

    /// A call succeeded.
    pub(super) fn succeeded(&self) -> Change {
        let before = std::mem::take(&mut *self.state());
        before.retry_at.map_or(Change::None, |_| Change::Back)
    }

    /// A call failed, or took too long.
    pub(super) fn failed(&self, now: Instant) -> Change {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES_MAX || state.retry_at.is_some() {
            return Change::None;
        }
        state.retry_at = Some(now + RETRY_AFTER);
        Change::Away
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
        assert_eq!(changes, [Change::None, Change::None, Change::Away, Change::None]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..10 {
            assert_eq!([breaker.failed(now), breaker.failed(now), breaker.succeeded()], [Change::None; 3]);
        }
        assert!(breaker.admits(now));
        assert!(!opened(now).admits(now));
    }

    #[test]
    fn while_open_one_call_a_while_tries() {
        let mut now = Instant::now();
        let breaker = opened(now);
        for _ in 0..3 {
            now += RETRY_AFTER;
            assert!(breaker.admits(now));
            assert!(!breaker.admits(now), "one is trying");
            assert_eq!(breaker.failed(now), Change::None);
        }
        now += RETRY_AFTER;
        assert!(breaker.admits(now));
        assert_eq!([breaker.succeeded(), breaker.succeeded()], [Change::Back, Change::None]);
        assert!(breaker.admits(now) && breaker.admits(now));
    }
}
