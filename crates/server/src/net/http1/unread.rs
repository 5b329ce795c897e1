//! The rest of a request's body that the service didn't read before its response: a short rest is read, so that the connection
//! can be kept alive; with a longer one, or a body that can't be read, the connection is closed, as the response announces.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// The longest rest that is read and discarded, in bytes.
const REST_MAX: u64 = 16 * 1024;

/// How long reading the rest of a body may take.
const REST_WAIT_MAX: Duration = Duration::from_millis(500);

/// Holds the unread rest of the body of a connection's current request.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Option<Rest>>);

#[derive(Debug)]
enum Rest {
    Unread(Incoming),
    Failed,
}

impl Unread {
    /// Reads the rest of the last request's body if it is short; returns whether the body's end was reached.
    pub(super) async fn read_rest(&self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match rest {
            None => true,
            Some(Rest::Failed) => false,
            Some(Rest::Unread(body)) => {
                let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= REST_MAX);
                is_short && matches!(timeout(REST_WAIT_MAX, read_all(body)).await, Ok(true))
            }
        }
    }

    fn store(&self, rest: Rest) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }
}

async fn read_all(mut body: Incoming) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// A request's body. When it is dropped, its unread rest is stored in [`Unread`].
#[derive(Debug)]
pub(super) struct TrackedBody {
    body: Option<Incoming>,
    /// Whether the client sends the body without waiting for an interim response. With `Expect` that response is sent on the
    /// first read, so the client never sends a body that isn't read.
    is_sent: bool,
    unread: Arc<Unread>,
}

impl TrackedBody {
    pub(super) fn new(body: Incoming, is_sent: bool, unread: &Arc<Unread>) -> Self {
        Self { body: Some(body), is_sent, unread: Arc::clone(unread) }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        self.is_sent = true;
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                self.unread.store(Rest::Failed);
                self.body = None;
            }
            None => self.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            self.unread.store(if self.is_sent { Rest::Unread(body) } else { Rest::Failed });
        }
    }
}
