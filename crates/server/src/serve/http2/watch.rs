//! Notices when a connection's client is late.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::IDLE_MAX;
use super::streams::Streams;

/// One timer a connection, which, when it goes off, looks whether the time that counts has come and sleeps on if not.
#[derive(Debug)]
pub(super) struct Watch(Pin<Box<Sleep>>);

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
        Self(Box::pin(sleep_until(deadline)))
    }

    /// Ready once the client is late. To be polled after every change at the streams.
    pub(super) fn poll(&mut self, streams: &Streams, context: &mut Context<'_>) -> Poll<Word> {
        loop {
            let deadline = streams.deadline();
            if let Some(deadline) = deadline.filter(|deadline| *deadline < self.0.deadline()) {
                self.0.as_mut().reset(deadline);
            }
            if self.0.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match deadline {
                Some(deadline) if deadline > now => self.0.as_mut().reset(deadline),
                Some(_) if streams.are_none() && !streams.are_last() => return Poll::Ready(Word::Close),
                Some(_) => return Poll::Ready(Word::Cut),
                None => self.0.as_mut().reset(now + IDLE_MAX),
            }
        }
    }
}
