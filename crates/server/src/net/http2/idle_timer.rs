//! Closes connections whose client is too slow.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::IDLE_MAX;
use super::streams::Streams;
use super::unsent::PRESSURE_WAIT_MAX;

/// How often unsent responses are checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// One timer per connection. When it expires, the current deadline is checked, and the timer is reset if it hasn't passed.
#[derive(Debug)]
pub(super) struct IdleTimer {
    timer: Pin<Box<Sleep>>,
    /// When the timer last expired.
    checked: Option<Instant>,
}

/// What to do with a connection whose client is late.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Send GOAWAY: no more requests are accepted.
    GoAway,
    /// Close it.
    Abort,
}

impl IdleTimer {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { timer: Box::pin(sleep_until(deadline)), checked: None }
    }

    /// Ready once the client is late. Must be polled after every change of the streams.
    pub(super) fn poll(&mut self, streams: &Streams, context: &mut Context<'_>) -> Poll<Expiry> {
        if streams.is_aborted() {
            return Poll::Ready(Expiry::Abort);
        }
        loop {
            if let Some(due) = self.due(streams).filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.checked = Some(now);
            if streams.must_abort(now) {
                return Poll::Ready(Expiry::Abort);
            }
            match streams.deadline() {
                Some(deadline) if deadline > now => {}
                Some(_) if streams.is_empty() && !streams.is_closing() => return Poll::Ready(Expiry::GoAway),
                Some(_) => return Poll::Ready(Expiry::Abort),
                None => {}
            }
            let due = self.due(streams).unwrap_or(now + IDLE_MAX);
            self.timer.as_mut().reset(due);
        }
    }

    /// When the next check is due.
    fn due(&self, streams: &Streams) -> Option<Instant> {
        let checked = |since: Instant| self.checked.map_or(since, |checked| since.max(checked + CHECK_EVERY));
        let unsent = streams.unsent_since().map(|since| checked(since + PRESSURE_WAIT_MAX));
        streams.deadline().into_iter().chain(unsent).min()
    }
}
