//! What is left of a request's body once its answer is there: a little is read, so that the connection goes on; with
//! more, or a body that can't be read, it ends, and the answer says so.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// The most that is read for nobody, in bytes.
const REST_MAX: u64 = 16 * 1024;

/// How long the rest of a body may take.
const REST_WAIT_MAX: Duration = Duration::from_millis(500);

/// Where a connection's requests, one at a time, leave what nobody has read of their bodies.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Option<Rest>>);

#[derive(Debug)]
enum Rest {
    Unread(Incoming),
    Failed,
}

impl Unread {
    /// Reads what is left of the last request's body, if that is little; whether its end was reached.
    pub(super) async fn read_rest(&self) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match rest {
            None => true,
            Some(Rest::Failed) => false,
            Some(Rest::Unread(body)) => {
                let little = body.size_hint().upper().is_some_and(|bytes| bytes <= REST_MAX);
                little && matches!(timeout(REST_WAIT_MAX, read_all(body)).await, Ok(true))
            }
        }
    }

    fn leave(&self, rest: Rest) {
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

/// A request's body, which leaves what nobody has read of it.
#[derive(Debug)]
pub(super) struct LentBody {
    body: Option<Incoming>,
    /// The client sends it only if it is asked to (`Expect`), and a body that nobody wants is not asked for.
    is_on_its_way: bool,
    unread: Arc<Unread>,
}

impl LentBody {
    pub(super) fn new(body: Incoming, is_on_its_way: bool, unread: &Arc<Unread>) -> Self {
        Self { body: Some(body), is_on_its_way, unread: Arc::clone(unread) }
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        self.is_on_its_way = true;
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                self.unread.leave(Rest::Failed);
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

impl Drop for LentBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            self.unread.leave(if self.is_on_its_way { Rest::Unread(body) } else { Rest::Failed });
        }
    }
}
