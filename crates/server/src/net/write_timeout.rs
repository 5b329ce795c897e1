//! The sending half of a connection: writes have a timeout, and closing waits for the client, so that it receives the last
//! response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadlines::{LINGER_MAX, UNREAD_MAX};

/// A connection's byte stream: TCP, or TLS over TCP.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// A transport with a timeout for writes.
#[derive(Debug)]
pub(super) struct WriteTimeout<T> {
    transport: T,
    /// Set while bytes are unsent.
    unread: Option<Pin<Box<Sleep>>>,
    /// Set once the sending half is closed.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<T: Transport> WriteTimeout<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport, unread: None, linger: None }
    }

    /// The transport without the timeout.
    pub(super) fn into_transport(self) -> T {
        self.transport
    }

    /// The result of sending, or an error once the client hasn't read for [`UNREAD_MAX`].
    fn with_timeout<R>(&mut self, sent: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if sent.is_ready() {
            self.unread = None;
            return sent;
        }
        let unread = self.unread.get_or_insert_with(|| after(UNREAD_MAX));
        unread.as_mut().poll(context).map(|()| Err(late("the client doesn't read")))
    }
}

pub(super) fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn after(wait: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + wait))
}

impl<T: Transport> AsyncRead for WriteTimeout<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(context, buffer)
    }
}

impl<T: Transport> AsyncWrite for WriteTimeout<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.transport).poll_write(context, bytes);
        self.with_timeout(sent, context)
    }

    /// The library then copies the parts of a small response together, and it is sent in one packet.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.transport).poll_flush(context);
        self.with_timeout(sent, context)
    }

    /// Closes the sending half, then reads until the client has closed its own: with unread bytes the kernel would reset the
    /// connection, and a response in transit would be lost.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            let closed = Pin::new(&mut this.transport).poll_shutdown(context);
            ready!(this.with_timeout(closed, context))?;
        }
        let linger = this.linger.get_or_insert_with(|| after(LINGER_MAX));
        let mut scratch = [0; 4_096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.transport).poll_read(context, &mut buffer) {
                // The timer is polled with every read: a client may send without end.
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && linger.as_mut().poll(context).is_pending() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.as_mut().poll(context).map(Ok),
            }
        }
    }
}
