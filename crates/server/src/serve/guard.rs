//! A stream with deadlines, so that nobody holds a connection by being silent or slow.
//!
//! Three waits are bounded: for a request's first byte, for all of a request (its head and its body), and, by
//! [`Outgoing`], for a client that doesn't read. None needs a timer a request: a connection has one timer, which, when
//! it goes off, looks whether the time that counts has come and sleeps on if not.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::RefusalBody;
use super::deadlines::REQUEST_MAX;
use super::opening::Rewound;
use super::outgoing::{Outgoing, Transport, late};
use super::refusal::Refusal;

/// What hyper sends to a client that asks before it sends its body: no answer yet, so the request's time runs on.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A stream of HTTP/1 requests whose waits end.
#[derive(Debug)]
pub(super) struct GuardedStream<T> {
    stream: Outgoing<T>,
    /// Bytes that were read and are to be read again.
    put_back: Bytes,
    awaits: Awaits,
    /// How long the next request may stay out.
    idle_max: Duration,
    /// When what is awaited is late; none until it had to be waited for.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    refusal: Refusal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// The first byte of a request.
    Request,
    /// The rest of a request, and its answer.
    Answer,
}

impl Awaits {
    /// How long it may take, from the first time that it has to be waited for.
    fn max(self, idle_max: Duration) -> Duration {
        match self {
            Self::Request => idle_max,
            Self::Answer => REQUEST_MAX,
        }
    }
}

impl<T: Transport> GuardedStream<T> {
    /// Guards `transport`, whose first byte is late after `first_byte_by`, and that of a later request after `idle_max`.
    pub(super) fn new(transport: T, refusal_body: RefusalBody, first_byte_by: Instant, idle_max: Duration) -> Self {
        Self {
            stream: Outgoing::new(transport),
            put_back: Bytes::new(),
            awaits: Awaits::Request,
            idle_max,
            deadline: Some(first_byte_by),
            timer: None,
            refusal: Refusal::new(refusal_body),
        }
    }

    /// Has the next reader begin with `bytes`, which were read from this stream.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.put_back = bytes;
    }

    /// The bytes that the next reader begins with, of those that were read before.
    pub(super) fn peeked(&self) -> &[u8] {
        &self.put_back
    }

    /// The transport without its guard, as if nothing of it had been read that was put back.
    pub(super) fn unguard(self) -> Rewound<T> {
        Rewound::new(self.put_back, self.stream.into_transport())
    }

    fn now_awaits(&mut self, awaits: Awaits) {
        self.awaits = awaits;
        self.deadline = None;
    }

    /// Ready once the deadline has passed. A request that comes and goes without a wait costs no look at the clock.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            let deadline = Instant::now() + self.awaits.max(self.idle_max);
            self.deadline = Some(deadline);
            if self.timer.as_ref().is_none_or(|timer| timer.deadline() > deadline) {
                self.timer = Some(Box::pin(sleep_until(deadline)));
            }
            return self.poll_timer(context, deadline);
        };
        match &self.timer {
            // It has this task's waker since it was set.
            Some(timer) if !timer.is_elapsed() => Poll::Pending,
            _ => self.poll_timer(context, deadline),
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // Polled whatever else this task has done in its turn: a timer that isn't polled is never set.
        while pin!(unconstrained(timer.as_mut())).poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        if !bytes.ends_with(CONTINUE) {
            self.now_awaits(Awaits::Request);
        }
        Poll::Ready(sent)
    }

    fn poll_send_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.refusal.rest() {
            let sent = ready!(self.poll_send(context, &rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.sent(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncRead for GuardedStream<T> {
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
                if self.awaits == Awaits::Request {
                    self.now_awaits(Awaits::Answer);
                }
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_late(context).map(|()| Err(late("the client is too slow"))),
        }
    }
}

impl<T: Transport> AsyncWrite for GuardedStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send_refusal(context))?;
        if self.refusal.take_over(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_send(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| slice))
    }

    /// Small answers are copied together and sent in one piece.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_refusal(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_refusal(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::deadlines::{FIRST_BYTE_MAX, IDLE_MAX};
    use super::*;

    async fn connected() -> (GuardedStream<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (GuardedStream::new(stream, |_| Bytes::new(), Instant::now() + FIRST_BYTE_MAX, IDLE_MAX), client)
    }

    async fn read(guard: &mut GuardedStream<TcpStream>) -> usize {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *guard).poll_read(context, &mut buffer)).await.unwrap();
        buffer.filled().len()
    }

    async fn write(guard: &mut GuardedStream<TcpStream>, bytes: &[u8]) {
        poll_fn(|context| Pin::new(&mut *guard).poll_write(context, bytes)).await.unwrap();
    }

    /// Has the guard wait for bytes that don't come.
    async fn wait(guard: &mut GuardedStream<TcpStream>) {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        let waits = poll_fn(|context| Poll::Ready(Pin::new(&mut *guard).poll_read(context, &mut buffer).is_pending()));
        assert!(waits.await, "no bytes came");
    }

    #[tokio::test]
    async fn a_request_after_a_pause_has_no_longer_than_the_first() {
        let (mut guard, mut client) = connected().await;
        client.write_all(b"GET").await.unwrap();
        read(&mut guard).await;
        write(&mut guard, b"HTTP/1.1 200 OK").await;
        // As it is once the first timer went off while the connection was idle.
        guard.timer = None;
        wait(&mut guard).await;
        assert!(guard.deadline.unwrap() > Instant::now() + REQUEST_MAX, "an idle connection has more time");
        client.write_all(b"GET").await.unwrap();
        read(&mut guard).await;
        wait(&mut guard).await;
        let latest = Instant::now() + REQUEST_MAX;
        assert!(guard.deadline.unwrap() <= latest && guard.timer.as_ref().unwrap().deadline() <= latest);
    }

    #[tokio::test]
    async fn being_asked_to_go_on_is_no_answer() {
        let (mut guard, mut client) = connected().await;
        client.write_all(b"POST").await.unwrap();
        read(&mut guard).await;
        wait(&mut guard).await;
        let deadline = guard.deadline;
        write(&mut guard, CONTINUE).await;
        assert_eq!((guard.awaits, guard.deadline), (Awaits::Answer, deadline));
    }
}
