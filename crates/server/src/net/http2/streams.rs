//! The state of a connection's streams that its timeouts depend on.
//!
//! A response has [`SENDING_MAX`] from the time at which it has something to send until the client has taken it, and the
//! connection is closed if the client takes nothing of any response for [`UNREAD_MAX`]: the library can't reset a stream that
//! waits for the client's window. A response that is open but has nothing to send, such as an event stream between two events,
//! has no deadline, and doesn't change those of others; whether its client is still there is found out by PING. A request's body
//! has a deadline of its own (see [`TimedBody`](super::body::TimedBody)), whatever other streams do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::deadlines::UNREAD_MAX;
use super::unsent::{CONNECTION_BYTES_MAX, PRESSURE_WAIT_MAX, UnsentBytes};

/// From GOAWAY to closing a connection without open streams.
const GOAWAY_MAX: Duration = Duration::from_millis(500);

/// The maximum time to send a whole response, however steadily the client reads: the response is in memory until it is sent.
const SENDING_MAX: Duration = Duration::from_secs(60);

/// A connection's streams.
#[derive(Debug)]
pub(super) struct Streams {
    state: Mutex<State>,
    /// The longest time without an open stream.
    idle_max: Duration,
    /// Notified when there is more room for responses.
    freed: Notify,
    /// The unsent bytes of all connections of this core.
    unsent: UnsentBytes,
}

#[derive(Debug)]
struct State {
    /// Requests without a response yet. Each has its own deadline for its body; the rest is the server's processing time.
    in_flight: usize,
    /// Responses that aren't complete, or that the client hasn't read completely.
    sending: BTreeMap<u64, Unfinished>,
    /// Bytes of responses that are unsent or expected.
    unsent: usize,
    /// Whether the connection must be closed because too many bytes are unsent.
    aborted: bool,
    /// The number of responses so far.
    responses: u64,
    /// Whether no more streams are accepted.
    closing: bool,
    /// The client's deadline; `None` while the server is working.
    deadline: Option<Instant>,
}

/// A response that isn't complete, or that the client hasn't read completely.
#[derive(Debug)]
struct Unfinished {
    /// Since when it has had something to send; `None` while the client has everything.
    unsent_since: Option<Instant>,
    /// Parts of the body that aren't sent.
    pieces: usize,
    /// Whether the service has no further part of the body yet.
    is_waiting: bool,
}

impl State {
    /// Since when a response has been unsent.
    fn unsent_since(&self) -> Option<Instant> {
        self.sending.values().filter_map(|response| response.unsent_since).min()
    }
}

impl Streams {
    /// No streams yet. The first request's deadline is `first_request_by`.
    pub(super) fn new(first_request_by: Instant, idle_max: Duration, unsent: UnsentBytes) -> Self {
        let state = State {
            in_flight: 0,
            sending: BTreeMap::new(),
            unsent: 0,
            aborted: false,
            responses: 0,
            closing: false,
            deadline: Some(first_request_by),
        };
        Self { state: Mutex::new(state), idle_max, freed: Notify::new(), unsent }
    }

    /// Begins a request whose response is expected to have `expected_bytes`, once the client has read enough of the responses
    /// before it; `None` if too many bytes are unsent on all connections.
    pub(super) async fn begin(self: &Arc<Self>, expected_bytes: usize) -> Option<InFlight> {
        loop {
            let freed = self.freed.notified();
            if self.unsent.is_full() {
                return None;
            }
            if self.reserve(expected_bytes) {
                return Some(InFlight { streams: Arc::clone(self), expected_bytes });
            }
            freed.await;
        }
    }

    /// Reserves `bytes` for a request's response; returns whether there was room.
    fn reserve(&self, bytes: usize) -> bool {
        let mut has_room = false;
        self.change(|state| {
            has_room = state.unsent == 0 || state.unsent + bytes <= CONNECTION_BYTES_MAX;
            if has_room {
                state.unsent += bytes;
                state.in_flight += 1;
            }
        });
        has_room
    }

    /// Whether the connection must be closed because of unsent bytes, on this connection or on all of the core's.
    pub(super) fn must_abort(&self, now: Instant) -> bool {
        let state = self.state();
        let is_late = |since: Instant| since + PRESSURE_WAIT_MAX <= now;
        state.aborted || (self.unsent.is_under_pressure() && state.unsent_since().is_some_and(is_late))
    }

    /// Whether the connection must be closed immediately.
    pub(super) fn is_aborted(&self) -> bool {
        self.state().aborted
    }

    /// Since when a response has been unsent.
    pub(super) fn unsent_since(&self) -> Option<Instant> {
        self.state().unsent_since()
    }

    /// Stops accepting streams; the open ones continue.
    pub(super) fn stop_accepting_streams(&self) {
        self.change(|state| state.closing = true);
    }

    /// Whether no more streams are accepted.
    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
    }

    /// Whether no stream is open.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state();
        state.in_flight == 0 && state.sending.is_empty()
    }

    /// The client's deadline; `None` while only the server has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.state().deadline
    }

    /// Changes the state and resets the client's deadline.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let (unsent_since, is_open) = (state.unsent_since(), !state.sending.is_empty());
        let wait = match *state {
            State { in_flight: 1.., .. } => None,
            _ if unsent_since.is_some() => Some(UNREAD_MAX),
            _ if is_open => None,
            State { closing: true, .. } => Some(GOAWAY_MAX),
            State { .. } => Some(self.idle_max),
        };
        let next_by = wait.map(|wait| Instant::now() + wait);
        let sent_by = unsent_since.map(|since| since + SENDING_MAX);
        state.deadline = next_by.into_iter().chain(sent_by).min();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request without a response yet.
#[derive(Debug)]
pub(super) struct InFlight {
    streams: Arc<Streams>,
    expected_bytes: usize,
}

impl InFlight {
    /// Marks the response, of `bytes`, as ready and being sent.
    pub(super) fn responded(self, bytes: usize) -> Sending {
        let streams = Arc::clone(&self.streams);
        streams.unsent.add(bytes);
        let beyond_limit = streams.unsent.is_beyond_limit();
        let mut number = 0;
        streams.change(|state| {
            number = state.responses;
            state.responses += 1;
            state.unsent += bytes;
            state.aborted |= beyond_limit;
            let response = Unfinished { unsent_since: Some(Instant::now()), pieces: 0, is_waiting: false };
            state.sending.insert(number, response);
        });
        Sending { streams, number, bytes }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.streams.change(|state| {
            state.in_flight -= 1;
            state.unsent -= self.expected_bytes;
        });
        self.streams.freed.notify_waiters();
    }
}

/// A response that isn't complete, or that the client hasn't read completely.
#[derive(Debug)]
pub(super) struct Sending {
    streams: Arc<Streams>,
    number: u64,
    bytes: usize,
}

impl Sending {
    /// A part of the body is ready to be sent.
    pub(super) fn add_piece(&self) {
        self.change(|response| {
            response.is_waiting = false;
            response.pieces += 1;
        });
    }

    /// A part of the body was sent.
    pub(super) fn remove_piece(&self) {
        self.change(|response| response.pieces -= 1);
    }

    /// The service has no further part of the body yet.
    pub(super) fn wait(&self) {
        self.change(|response| response.is_waiting = true);
    }

    fn change(&self, change: impl FnOnce(&mut Unfinished)) {
        self.streams.change(|state| {
            let Some(response) = state.sending.get_mut(&self.number) else { return };
            change(response);
            let has_nothing = response.is_waiting && response.pieces == 0;
            response.unsent_since =
                if has_nothing { None } else { response.unsent_since.or_else(|| Some(Instant::now())) };
        });
    }

    /// Resets the client's deadline: it has read a part of the response.
    pub(super) fn progressed(&self) {
        self.streams.change(|_| ());
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.streams.unsent.remove(self.bytes);
        self.streams.change(|state| {
            state.unsent -= self.bytes;
            state.sending.remove(&self.number);
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

    /// Asserts that `change` sets the deadline to `wait` from now.
    #[track_caller]
    fn assert_gives(streams: &Streams, wait: Duration, change: impl FnOnce()) {
        let before = Instant::now();
        change();
        let deadline = streams.deadline().expect("the client has a deadline");
        assert!((before + wait..=Instant::now() + wait).contains(&deadline), "{:?}", deadline - before);
    }

    fn streams(first_request_by: Instant) -> Arc<Streams> {
        Arc::new(Streams::new(first_request_by, IDLE_MAX, UnsentBytes::new(Gauge::default(), 1)))
    }

    fn begin(streams: &Arc<Streams>, expected_bytes: usize) -> Option<InFlight> {
        streams.begin(expected_bytes).now_or_never().flatten()
    }

    #[test]
    fn deadline_depends_on_the_state_of_the_streams() {
        let first = Instant::now() + Duration::from_secs(3);
        let streams = streams(first);
        assert_eq!(streams.deadline(), Some(first));
        let (one, other) = (begin(&streams, 1).unwrap(), begin(&streams, 1).unwrap());
        assert_eq!(streams.deadline(), None);
        let mut sending = None;
        // The other request has no response yet, so the client's 8 seconds don't run.
        assert_gives(&streams, SENDING_MAX, || sending = Some(one.responded(1)));
        let sending = sending.unwrap();
        assert_gives(&streams, UNREAD_MAX, || drop(other));
        assert_gives(&streams, UNREAD_MAX, || sending.progressed());
        assert!(!streams.is_empty());
        assert_gives(&streams, IDLE_MAX, || drop(sending));
        assert!(streams.is_empty());
        assert_gives(&streams, GOAWAY_MAX, || streams.stop_accepting_streams());
    }

    #[test]
    fn open_response_with_nothing_to_send_has_no_deadline() {
        let streams = streams(Instant::now());
        let events = begin(&streams, 1).unwrap().responded(0);
        assert!(streams.deadline().is_some(), "its head is unsent");
        events.wait();
        assert_eq!((streams.deadline(), streams.unsent_since(), streams.is_empty()), (None, None, false));
        assert_gives(&streams, UNREAD_MAX, || events.add_piece());
        // The service has nothing more, but the client hasn't taken what there was.
        assert_gives(&streams, UNREAD_MAX, || events.wait());
        events.remove_piece();
        assert_eq!(streams.deadline(), None);
        let page = begin(&streams, 1).unwrap().responded(1);
        assert_gives(&streams, UNREAD_MAX, || events.wait());
        let request = begin(&streams, 1).unwrap();
        let (since, latest) = (streams.unsent_since().unwrap(), streams.deadline().unwrap());
        events.add_piece();
        events.remove_piece();
        assert_eq!((since + SENDING_MAX, streams.deadline()), (latest, Some(latest)), "events don't prolong it");
        drop((page, request));
        assert_gives(&streams, IDLE_MAX, || drop(events));
    }

    #[tokio::test]
    async fn a_request_waits_for_room_on_its_connection() {
        let streams = streams(Instant::now());
        let half = begin(&streams, READ_BYTES).unwrap().responded(CONNECTION_BYTES_MAX / 2);
        let rest = begin(&streams, READ_BYTES).unwrap().responded(CONNECTION_BYTES_MAX / 2);
        assert!(begin(&streams, BALLOT_BYTES).is_none(), "no room");
        let waiting = tokio::spawn({
            let streams = Arc::clone(&streams);
            async move { streams.begin(READ_BYTES).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(half);
        assert!(waiting.await.unwrap());
        drop(rest);
        // A connection without other responses has room for any response, however large.
        assert!(begin(&streams, CONNECTION_BYTES_MAX * 2).is_some());
        assert_eq!(streams.state().unsent, 0);
    }

    #[tokio::test]
    async fn unsent_bytes_of_all_connections_are_limited() {
        let unsent = UnsentBytes::new(Gauge::default(), 1);
        let streams = || Arc::new(Streams::new(Instant::now(), IDLE_MAX, unsent.clone()));
        let (slow, other) = (streams(), streams());
        let later = |waited: Duration| Instant::now() + waited;
        let half = begin(&slow, READ_BYTES).unwrap().responded(32 << 20);
        assert!(slow.must_abort(later(PRESSURE_WAIT_MAX)) && !slow.must_abort(later(Duration::ZERO)));
        assert!(!other.must_abort(later(PRESSURE_WAIT_MAX)), "it has no unsent response");
        let begun = [begin(&other, BALLOT_BYTES).unwrap(), begin(&other, BALLOT_BYTES).unwrap()];
        let [full, beyond] = begun;
        let full = full.responded(32 << 20);
        assert!(streams().begin(BALLOT_BYTES).await.is_none(), "rejected before any processing");
        assert!(!other.is_aborted());
        let beyond = beyond.responded(64 << 20);
        assert!(other.is_aborted() && !slow.is_aborted());
        drop((half, full, beyond));
        assert!(begin(&streams(), BALLOT_BYTES).is_some());
    }
}
