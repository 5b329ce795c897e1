//! Bodies on a stream: request bodies with a deadline, and response bodies whose sending is tracked.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::REQUEST_MAX;
use super::super::write_timeout::late;
use super::streams::{Sending, Streams};

/// A request's body. Reading it fails after its deadline; the connection then accepts no further requests.
#[derive(Debug)]
pub(super) struct TimedBody {
    body: Incoming,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    streams: Arc<Streams>,
}

impl TimedBody {
    /// The body of a request whose head was just received.
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
            self.streams.stop_accepting_streams();
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

/// A response's body.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    /// `None` for an error response, which is small.
    sending: Option<Arc<Sending>>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, sending: Sending) -> Self {
        Self { body, sending: Some(Arc::new(sending)) }
    }

    pub(super) fn untimed(body: Body) -> Self {
        Self { body, sending: None }
    }
}

impl HttpBody for ResponseBody {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Pending, Some(sending)) = (&frame, &self.sending) {
            sending.wait();
        }
        let piece = |bytes| Piece::new(bytes, self.sending.clone());
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A part of a response's body. The library keeps it until the client's window has room for it, and drops it once it is sent:
/// only its progress shows whether the client reads its responses.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    sending: Option<Arc<Sending>>,
}

impl Piece {
    fn new(bytes: Bytes, sending: Option<Arc<Sending>>) -> Self {
        if let Some(sending) = &sending {
            sending.add_piece();
        }
        Self { bytes, sending }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            sending.remove_piece();
        }
    }
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
        if let Some(sending) = &self.sending {
            sending.progressed();
        }
    }
}
