//! The sending side of a connection: a client that doesn't read ends it, and it is closed so that the last answer
//! arrives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadlines::{LINGER_MAX, UNREAD_MAX};

/// What a connection's bytes go over: TCP, or TLS over TCP.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// A transport whose writes end.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    transport: T,
    /// Set while bytes wait to be taken.
    unread: Option<Pin<Box<Sleep>>>,
    /// Set once our end is closed.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<T: Transport> Outgoing<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport, unread: None, linger: None }
    }

    /// The transport, if it is to be watched in another way.
    pub(super) fn into_transport(self) -> T {
        self.transport
    }

    /// What came of sending, or an error once the client hasn't read for too long.
    fn taken<R>(&mut self, sent: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
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

impl<T: Transport> AsyncRead for Outgoing<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(context, buffer)
    }
}

impl<T: Transport> AsyncWrite for Outgoing<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.transport).poll_write(context, bytes);
        self.taken(sent, context)
    }

    /// Small answers are copied together and sent in one piece.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.transport).poll_flush(context);
        self.taken(sent, context)
    }

    /// Closes our end, then reads until the client has closed its own: bytes that nobody reads would have the kernel
    /// reset the connection, and an answer on its way would be lost with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            let closed = Pin::new(&mut this.transport).poll_shutdown(context);
            ready!(this.taken(closed, context))?;
        }
        let linger = this.linger.get_or_insert_with(|| after(LINGER_MAX));
        let mut scratch = [0; 4_096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.transport).poll_read(context, &mut buffer) {
                // Polled with every piece: a client that never stops sending doesn't keep us here.
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && linger.as_mut().poll(context).is_pending() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.as_mut().poll(context).map(Ok),
            }
        }
    }
}
