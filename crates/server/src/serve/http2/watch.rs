//! Notices when a connection's client is late.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::IDLE_MAX;
use super::streams::Streams;
use super::unsent::PRESSED_WAIT_MAX;

/// How often it is looked whether a response may wait on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One timer a connection, which, when it goes off, looks whether the time that counts has come and sleeps on if not.
#[derive(Debug)]
pub(super) struct Watch {
    timer: Pin<Box<Sleep>>,
    /// When it last went off.
    looked: Option<Instant>,
}

/// What is to be done with a connection whose client is late.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Tell it that no more requests are taken.
    Close,
    /// End it.
    Cut,
}

impl Watch {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { timer: Box::pin(sleep_until(deadline)), looked: None }
    }

    /// Ready once the client is late. To be polled after every change at the streams.
    pub(super) fn poll(&mut self, streams: &Streams, context: &mut Context<'_>) -> Poll<Word> {
        if streams.are_cut() {
            return Poll::Ready(Word::Cut);
        }
        loop {
            if let Some(due) = self.due(streams).filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.looked = Some(now);
            if streams.wait_too_long(now) {
                return Poll::Ready(Word::Cut);
            }
            match streams.deadline() {
                Some(deadline) if deadline > now => {}
                Some(_) if streams.are_none() && !streams.are_last() => return Poll::Ready(Word::Close),
                Some(_) => return Poll::Ready(Word::Cut),
                None => {}
            }
            let due = self.due(streams).unwrap_or(now + IDLE_MAX);
            self.timer.as_mut().reset(due);
        }
    }

    /// When there is something to look at.
    fn due(&self, streams: &Streams) -> Option<Instant> {
        let looked = |since: Instant| self.looked.map_or(since, |looked| since.max(looked + LOOK_EVERY));
        let unsent = streams.unsent_since().map(|since| looked(since + PRESSED_WAIT_MAX));
        streams.deadline().into_iter().chain(unsent).min()
    }
}
