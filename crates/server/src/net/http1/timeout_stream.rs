//! A stream with timeouts, so that idle or slow clients can't hold connections.
//!
//! There are three timeouts: for a request's first byte, for a whole request (head and body), and, in [`WriteTimeout`], for a
//! client that doesn't read. No timer is set per request: a connection has one timer. When it expires, the current deadline is
//! checked, and if it hasn't passed, the timer is reset to it.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::deadlines::REQUEST_MAX;
use super::super::rewound::Rewound;
use super::super::write_timeout::{Transport, WriteTimeout, late};

/// The interim response that hyper sends to a client that waits for it before the body. It isn't the response yet, so the
/// request's deadline stays.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A stream of HTTP/1 requests with timeouts.
#[derive(Debug)]
pub(in crate::net) struct TimeoutStream<T> {
    stream: WriteTimeout<T>,
    /// Bytes that were read and will be read again.
    put_back: Bytes,
    phase: Phase,
    /// The longest idle time before the next request.
    idle_max: Duration,
    /// The deadline of the current phase; `None` until the first wait in it.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for the first byte of a request.
    Idle,
    /// Reading the rest of a request, or responding to it.
    Request,
}

impl Phase {
    /// How long the phase may last, from the first wait in it.
    fn max(self, idle_max: Duration) -> Duration {
        match self {
            Self::Idle => idle_max,
            Self::Request => REQUEST_MAX,
        }
    }
}

impl<T: Transport> TimeoutStream<T> {
    /// Wraps `transport`. The deadline of its first byte is `first_byte_by`; the first byte of each later request may take
    /// `idle_max`.
    pub(in crate::net) fn new(transport: T, first_byte_by: Instant, idle_max: Duration) -> Self {
        Self {
            stream: WriteTimeout::new(transport),
            put_back: Bytes::new(),
            phase: Phase::Idle,
            idle_max,
            deadline: Some(first_byte_by),
            timer: None,
        }
    }

    /// Makes the next read begin with `bytes`, which were read from this stream.
    pub(in crate::net) fn put_back(&mut self, bytes: Bytes) {
        self.put_back = bytes;
    }

    /// The bytes that were put back.
    pub(in crate::net) fn peeked(&self) -> &[u8] {
        &self.put_back
    }

    /// The transport, which first yields the bytes that were put back.
    pub(in crate::net) fn into_inner(self) -> Rewound<T> {
        Rewound::new(self.put_back, self.stream.into_transport())
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.deadline = None;
    }

    /// Ready once the deadline has passed. A request without a wait doesn't read the clock.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            let deadline = Instant::now() + self.phase.max(self.idle_max);
            self.deadline = Some(deadline);
            if self.timer.as_ref().is_none_or(|timer| timer.deadline() > deadline) {
                self.timer = Some(Box::pin(sleep_until(deadline)));
            }
            return self.poll_timer(context, deadline);
        };
        match &self.timer {
            // This task's waker was registered when the timer was set.
            Some(timer) if !timer.is_elapsed() => Poll::Pending,
            _ => self.poll_timer(context, deadline),
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // Polled regardless of the task's coop budget: a timer that isn't polled is never registered.
        while pin!(unconstrained(timer.as_mut())).poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<T: Transport> AsyncRead for TimeoutStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.put_back.is_empty() {
            let count = self.put_back.len().min(buffer.remaining());
            buffer.put_slice(&self.put_back.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if self.phase == Phase::Idle {
                    self.enter(Phase::Request);
                }
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_late(context).map(|()| Err(late("the client is too slow"))),
        }
    }
}

impl<T: Transport> AsyncWrite for TimeoutStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        if !bytes.ends_with(CONTINUE) {
            self.enter(Phase::Idle);
        }
        Poll::Ready(sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| slice))
    }

    /// hyper then copies the parts of a small response together, and it is sent in one packet.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::super::deadlines::{FIRST_BYTE_MAX, IDLE_MAX};
    use super::*;

    async fn connected() -> (TimeoutStream<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (TimeoutStream::new(stream, Instant::now() + FIRST_BYTE_MAX, IDLE_MAX), client)
    }

    async fn read(stream: &mut TimeoutStream<TcpStream>) -> usize {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await.unwrap();
        buffer.filled().len()
    }

    async fn write(stream: &mut TimeoutStream<TcpStream>, bytes: &[u8]) {
        poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await.unwrap();
    }

    /// Makes the stream wait for bytes that are never sent.
    async fn wait(stream: &mut TimeoutStream<TcpStream>) {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        let pending =
            poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer).is_pending()));
        assert!(pending.await, "the client has sent nothing");
    }

    #[tokio::test]
    async fn request_after_an_idle_time_has_the_usual_deadline() {
        let (mut stream, mut client) = connected().await;
        client.write_all(b"GET").await.unwrap();
        read(&mut stream).await;
        write(&mut stream, b"HTTP/1.1 200 OK").await;
        // As if the first timer had expired while the connection was idle.
        stream.timer = None;
        wait(&mut stream).await;
        assert!(stream.deadline.unwrap() > Instant::now() + REQUEST_MAX, "an idle connection has more time");
        client.write_all(b"GET").await.unwrap();
        read(&mut stream).await;
        wait(&mut stream).await;
        let latest = Instant::now() + REQUEST_MAX;
        assert!(stream.deadline.unwrap() <= latest && stream.timer.as_ref().unwrap().deadline() <= latest);
    }

    #[tokio::test]
    async fn interim_response_keeps_the_deadline() {
        let (mut stream, mut client) = connected().await;
        client.write_all(b"POST").await.unwrap();
        read(&mut stream).await;
        wait(&mut stream).await;
        let deadline = stream.deadline;
        write(&mut stream, CONTINUE).await;
        assert_eq!((stream.phase, stream.deadline), (Phase::Request, deadline));
    }
}
