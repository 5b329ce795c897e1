//! What goes on at a connection's streams, as far as its deadlines are concerned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::deadlines::{IDLE_MAX, UNREAD_MAX};

/// From having told the client that no more requests are taken to cutting a connection that has none.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// How long an answer may take to be taken whole, however steadily: until then it is held here.
const LEAVING_MAX: Duration = Duration::from_secs(60);

/// A connection's streams.
#[derive(Debug)]
pub(super) struct Streams(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests that are being answered. Each has its own deadline for its body; the rest is our own time.
    answering: usize,
    /// Answers that the client hasn't taken whole, in the order in which they were there, with when that was.
    leaving: BTreeMap<u64, Instant>,
    /// How many were answered.
    answered: u64,
    /// Whether those open are the last.
    last: bool,
    /// When the client is late; none while it is our turn.
    deadline: Option<Instant>,
}

impl Streams {
    /// None yet; the first is late after `first_request_by`.
    pub(super) fn new(first_request_by: Instant) -> Self {
        let deadline = Some(first_request_by);
        Self(Mutex::new(State { answering: 0, leaving: BTreeMap::new(), answered: 0, last: false, deadline }))
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
        state.answering == 0 && state.leaving.is_empty()
    }

    /// When the client is late; none while it is our turn.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state().deadline
    }

    /// Makes a change, which gives the client new time for what comes next.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let is_leaving = !state.leaving.is_empty();
        let wait = match *state {
            State { answering: 1.., .. } => None,
            _ if is_leaving => Some(UNREAD_MAX),
            State { last: true, .. } => Some(GOODBYE_MAX),
            State { .. } => Some(IDLE_MAX),
        };
        let next = wait.map(|wait| Instant::now() + wait);
        let whole = state.leaving.values().next().map(|since| *since + LEAVING_MAX);
        state.deadline = next.into_iter().chain(whole).min();
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
        let mut number = 0;
        self.0.change(|state| {
            number = state.answered;
            state.answered += 1;
            state.leaving.insert(number, Instant::now());
        });
        Leaving { streams: Arc::clone(&self.0), number }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.change(|state| state.answering -= 1);
    }
}

/// An answer that the client hasn't taken whole.
#[derive(Debug)]
pub(super) struct Leaving {
    streams: Arc<Streams>,
    number: u64,
}

impl Leaving {
    /// The client took some of it.
    pub(super) fn goes_on(&self) {
        self.streams.change(|_| ());
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.streams.change(|state| {
            state.leaving.remove(&self.number);
        });
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
        let mut leaving = None;
        // The other is still our turn, so its own 8 seconds don't run yet.
        assert_gives(&streams, LEAVING_MAX, || leaving = Some(one.answered()));
        let leaving = leaving.unwrap();
        assert_gives(&streams, UNREAD_MAX, || drop(other));
        assert_gives(&streams, UNREAD_MAX, || leaving.goes_on());
        assert!(!streams.are_none());
        assert_gives(&streams, IDLE_MAX, || drop(leaving));
        assert!(streams.are_none());
        assert_gives(&streams, GOODBYE_MAX, || streams.make_last());
    }
}
