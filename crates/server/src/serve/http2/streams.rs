//! What goes on at a connection's streams, as far as its deadlines are concerned.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::deadlines::{IDLE_MAX, UNREAD_MAX};

/// From having told the client that no more requests are taken to cutting a connection that has none.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// A connection's streams.
#[derive(Debug)]
pub(super) struct Streams(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests that are being answered. Each has its own deadline for its body; the rest is our own time.
    answering: usize,
    /// Answers that the client hasn't taken whole.
    leaving: usize,
    /// Whether those open are the last.
    last: bool,
    /// When the client is late; none while it is our turn.
    deadline: Option<Instant>,
}

impl Streams {
    /// None yet; the first is late after `first_request_by`.
    pub(super) fn new(first_request_by: Instant) -> Self {
        Self(Mutex::new(State { answering: 0, leaving: 0, last: false, deadline: Some(first_request_by) }))
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.change(|state| state.answering += 1);
        Answering(Arc::clone(self))
    }

    /// After those that are open there are to be no more.
    pub(super) fn make_last(&self) {
        self.change(|state| state.last = true);
    }

    /// Whether there are to be no more.
    pub(super) fn are_last(&self) -> bool {
        self.state().last
    }

    /// Whether no stream is open.
    pub(super) fn are_none(&self) -> bool {
        let state = self.state();
        state.answering + state.leaving == 0
    }

    /// When the client is late; none while it is our turn.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state().deadline
    }

    /// Makes a change, which gives the client new time for what comes next.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.deadline = match *state {
            State { answering: 1.., .. } => None,
            State { leaving: 1.., .. } => Some(UNREAD_MAX),
            State { last: true, .. } => Some(GOODBYE_MAX),
            State { .. } => Some(IDLE_MAX),
        }
        .map(|wait| Instant::now() + wait);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Streams>);

impl Answering {
    /// The answer is there, and on its way.
    pub(super) fn answered(self) -> Leaving {
        self.0.change(|state| state.leaving += 1);
        Leaving(Arc::clone(&self.0))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.change(|state| state.answering -= 1);
    }
}

/// An answer that the client hasn't taken whole.
#[derive(Debug)]
pub(super) struct Leaving(Arc<Streams>);

impl Leaving {
    /// The client took some of it.
    pub(super) fn goes_on(&self) {
        self.0.change(|_| ());
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.change(|state| state.leaving -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `change` makes of the deadline: so long from when it was made.
    #[track_caller]
    fn assert_gives(streams: &Streams, wait: Duration, change: impl FnOnce()) {
        let before = Instant::now();
        change();
        let deadline = streams.deadline().expect("it is the client's turn");
        assert!((before + wait..=Instant::now() + wait).contains(&deadline), "{:?}", deadline - before);
    }

    #[test]
    fn the_time_is_that_of_whose_turn_it_is() {
        let first = Instant::now() + Duration::from_secs(3);
        let streams = Arc::new(Streams::new(first));
        assert_eq!(streams.deadline(), Some(first));
        let (one, other) = (streams.begin(), streams.begin());
        assert_eq!(streams.deadline(), None);
        let leaving = one.answered();
        assert_eq!(streams.deadline(), None, "the other is still our turn");
        assert_gives(&streams, UNREAD_MAX, || drop(other));
        assert_gives(&streams, UNREAD_MAX, || leaving.goes_on());
        assert!(!streams.are_none());
        assert_gives(&streams, IDLE_MAX, || drop(leaving));
        assert!(streams.are_none());
        assert_gives(&streams, GOODBYE_MAX, || streams.make_last());
    }
}
