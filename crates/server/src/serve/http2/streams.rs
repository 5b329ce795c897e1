//! What goes on at a connection's streams, as far as its deadlines are concerned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::deadlines::UNREAD_MAX;
use super::unsent::{CONNECTION_BYTES_MAX, PRESSED_WAIT_MAX, UnsentBytes};

/// From having told the client that no more requests are taken to cutting a connection that has none.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// How long an answer may take to be taken whole, however steadily: until then it is held here.
const LEAVING_MAX: Duration = Duration::from_secs(60);

/// A connection's streams.
#[derive(Debug)]
pub(super) struct Streams {
    state: Mutex<State>,
    /// How long the client may have no request open.
    idle_max: Duration,
    /// Signalled when there is more room for responses.
    freed: Notify,
    /// What waits on all connections of this core.
    unsent: UnsentBytes,
}

#[derive(Debug)]
struct State {
    /// Requests that are being answered. Each has its own deadline for its body; the rest is our own time.
    answering: usize,
    /// Answers that the client hasn't taken whole, in the order in which they were there, with when that was.
    leaving: BTreeMap<u64, Instant>,
    /// Bytes of responses that wait or are expected.
    unsent: usize,
    /// Whether too much waits for this connection to go on.
    cut: bool,
    /// How many were answered.
    answered: u64,
    /// Whether those open are the last.
    last: bool,
    /// When the client is late; none while it is our turn.
    deadline: Option<Instant>,
}

impl Streams {
    /// None yet; the first is late after `first_request_by`.
    pub(super) fn new(first_request_by: Instant, idle_max: Duration, unsent: UnsentBytes) -> Self {
        let state = State {
            answering: 0,
            leaving: BTreeMap::new(),
            unsent: 0,
            cut: false,
            answered: 0,
            last: false,
            deadline: Some(first_request_by),
        };
        Self { state: Mutex::new(state), idle_max, freed: Notify::new(), unsent }
    }

    /// Begins a request whose response is expected to have so many bytes, once the client has taken enough of those
    /// before; `None` if too much waits on all connections.
    pub(super) async fn begin(self: &Arc<Self>, expected_bytes: usize) -> Option<Answering> {
        loop {
            let freed = self.freed.notified();
            if self.unsent.is_full() {
                return None;
            }
            if self.reserve(expected_bytes) {
                return Some(Answering { streams: Arc::clone(self), expected_bytes });
            }
            freed.await;
        }
    }

    /// Sets bytes apart for a request's response, if there is room.
    fn reserve(&self, bytes: usize) -> bool {
        let mut has_room = false;
        self.change(|state| {
            has_room = state.unsent == 0 || state.unsent + bytes <= CONNECTION_BYTES_MAX;
            if has_room {
                state.unsent += bytes;
                state.answering += 1;
            }
        });
        has_room
    }

    /// Whether the connection is to end because of what waits, on it and on all others.
    pub(super) fn wait_too_long(&self, now: Instant) -> bool {
        let state = self.state();
        let oldest = state.leaving.values().next();
        state.cut || (self.unsent.is_pressed() && oldest.is_some_and(|since| *since + PRESSED_WAIT_MAX <= now))
    }

    /// Whether the connection is to end at once.
    pub(super) fn are_cut(&self) -> bool {
        self.state().cut
    }

    /// Since when the oldest response waits.
    pub(super) fn unsent_since(&self) -> Option<Instant> {
        self.state().leaving.values().next().copied()
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
            State { .. } => Some(self.idle_max),
        };
        let next = wait.map(|wait| Instant::now() + wait);
        let whole = state.leaving.values().next().map(|since| *since + LEAVING_MAX);
        state.deadline = next.into_iter().chain(whole).min();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    streams: Arc<Streams>,
    expected_bytes: usize,
}

impl Answering {
    /// The answer, of so many bytes, is there and on its way.
    pub(super) fn answered(self, bytes: usize) -> Leaving {
        let streams = Arc::clone(&self.streams);
        streams.unsent.add(bytes);
        let beyond_bound = streams.unsent.is_beyond_bound();
        let mut number = 0;
        streams.change(|state| {
            number = state.answered;
            state.answered += 1;
            state.unsent += bytes;
            state.cut |= beyond_bound;
            state.leaving.insert(number, Instant::now());
        });
        Leaving { streams, number, bytes }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.streams.change(|state| {
            state.answering -= 1;
            state.unsent -= self.expected_bytes;
        });
        self.streams.freed.notify_waiters();
    }
}

/// An answer that the client hasn't taken whole.
#[derive(Debug)]
pub(super) struct Leaving {
    streams: Arc<Streams>,
    number: u64,
    bytes: usize,
}

impl Leaving {
    /// The client took some of it.
    pub(super) fn goes_on(&self) {
        self.streams.change(|_| ());
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.streams.unsent.remove(self.bytes);
        self.streams.change(|state| {
            state.unsent -= self.bytes;
            state.leaving.remove(&self.number);
        });
        self.streams.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use prometheus_client::metrics::gauge::Gauge;

    use super::super::super::deadlines::IDLE_MAX;
    use super::super::unsent::{BALLOT_BYTES, READ_BYTES};
    use super::*;

    /// What `change` makes of the deadline: so long from when it was made.
    #[track_caller]
    fn assert_gives(streams: &Streams, wait: Duration, change: impl FnOnce()) {
        let before = Instant::now();
        change();
        let deadline = streams.deadline().expect("it is the client's turn");
        assert!((before + wait..=Instant::now() + wait).contains(&deadline), "{:?}", deadline - before);
    }

    fn streams(first_request_by: Instant) -> Arc<Streams> {
        Arc::new(Streams::new(first_request_by, IDLE_MAX, UnsentBytes::new(Gauge::default(), 1)))
    }

    fn begin(streams: &Arc<Streams>, expected_bytes: usize) -> Option<Answering> {
        streams.begin(expected_bytes).now_or_never().flatten()
    }

    #[test]
    fn the_time_is_that_of_whose_turn_it_is() {
        let first = Instant::now() + Duration::from_secs(3);
        let streams = streams(first);
        assert_eq!(streams.deadline(), Some(first));
        let (one, other) = (begin(&streams, 1).unwrap(), begin(&streams, 1).unwrap());
        assert_eq!(streams.deadline(), None);
        let mut leaving = None;
        // The other is still our turn, so its own 8 seconds don't run yet.
        assert_gives(&streams, LEAVING_MAX, || leaving = Some(one.answered(1)));
        let leaving = leaving.unwrap();
        assert_gives(&streams, UNREAD_MAX, || drop(other));
        assert_gives(&streams, UNREAD_MAX, || leaving.goes_on());
        assert!(!streams.are_none());
        assert_gives(&streams, IDLE_MAX, || drop(leaving));
        assert!(streams.are_none());
        assert_gives(&streams, GOODBYE_MAX, || streams.make_last());
    }

    #[tokio::test]
    async fn a_request_waits_for_room_on_its_connection() {
        let streams = streams(Instant::now());
        let half = begin(&streams, READ_BYTES).unwrap().answered(CONNECTION_BYTES_MAX / 2);
        let rest = begin(&streams, READ_BYTES).unwrap().answered(CONNECTION_BYTES_MAX / 2);
        assert!(begin(&streams, BALLOT_BYTES).is_none(), "no room");
        let waits = tokio::spawn({
            let streams = Arc::clone(&streams);
            async move { streams.begin(READ_BYTES).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(half);
        assert!(waits.await.unwrap());
        drop(rest);
        // However large a response is, a connection without another has room for it.
        assert!(begin(&streams, CONNECTION_BYTES_MAX * 2).is_some());
        assert_eq!(streams.state().unsent, 0);
    }

    #[tokio::test]
    async fn what_waits_on_all_connections_is_bounded() {
        let unsent = UnsentBytes::new(Gauge::default(), 1);
        let streams = || Arc::new(Streams::new(Instant::now(), IDLE_MAX, unsent.clone()));
        let (slow, other) = (streams(), streams());
        let later = |waited: Duration| Instant::now() + waited;
        let half = begin(&slow, READ_BYTES).unwrap().answered(32 << 20);
        assert!(slow.wait_too_long(later(PRESSED_WAIT_MAX)) && !slow.wait_too_long(later(Duration::ZERO)));
        assert!(!other.wait_too_long(later(PRESSED_WAIT_MAX)), "nothing waits there");
        let begun = [begin(&other, BALLOT_BYTES).unwrap(), begin(&other, BALLOT_BYTES).unwrap()];
        let [full, beyond] = begun;
        let full = full.answered(32 << 20);
        assert!(streams().begin(BALLOT_BYTES).await.is_none(), "refused before anything was done");
        assert!(!other.are_cut());
        let beyond = beyond.answered(64 << 20);
        assert!(other.are_cut() && !slow.are_cut());
        drop((half, full, beyond));
        assert!(begin(&streams(), BALLOT_BYTES).is_some());
    }
}
