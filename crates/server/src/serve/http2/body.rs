//! Bodies on a stream: a request's, which must come in time, and an answer's, whose going out is watched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::REQUEST_MAX;
use super::super::outgoing::late;
use super::streams::{Leaving, Streams};

/// A request's body, an error once it is late. Its connection then takes no further requests.
#[derive(Debug)]
pub(super) struct TimedBody {
    body: Incoming,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    streams: Arc<Streams>,
}

impl TimedBody {
    /// The body of a request whose head has just come.
    pub(super) fn new(body: Incoming, streams: Arc<Streams>) -> Self {
        Self { body, deadline: Instant::now() + REQUEST_MAX, timer: None, streams }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| {
            self.streams.make_last();
            Some(Err(late("the body is too slow").into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    /// None for a refusal, which is small.
    leaving: Option<Arc<Leaving>>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, leaving: Leaving) -> Self {
        Self { body, leaving: Some(Arc::new(leaving)) }
    }

    pub(super) fn unwatched(body: Body) -> Self {
        Self { body, leaving: None }
    }
}

impl HttpBody for AnswerBody {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let piece = |bytes| Piece { bytes, leaving: self.leaving.clone() };
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A part of an answer's body. The library keeps it until the client has made room for it, and drops it once it is
/// sent: so it knows, as nothing else does, whether the client takes its answers.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    leaving: Option<Arc<Leaving>>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(leaving) = &self.leaving {
            leaving.goes_on();
        }
    }
}
