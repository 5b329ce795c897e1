//! What a connection begins with that isn't HTTP/1: HTTP/2 without being asked for (RFC 9113, 3.3), and what is meant for
//! a server with other settings.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::guard::GuardedStream;
use super::outgoing::Transport;
use super::proxy_protocol::{PREFIX_1, PREFIX_2};

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What TLS begins with: a record of a handshake, of any version 3.
const TLS: &[u8] = b"\x16\x03";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// HTTP/1, or nothing known.
    Http1,
    /// HTTP/2, as it knows beforehand that this server does.
    Http2,
    /// A header of the PROXY protocol.
    ProxyProtocol,
    /// TLS.
    Tls,
}

/// What the bytes that were put back to `stream` begin; more of them are read if that takes more.
pub(super) async fn find<T: Transport>(stream: &mut GuardedStream<T>) -> io::Result<Opening> {
    let known = of(stream.peeked());
    if known.is_some() {
        return Ok(known.unwrap_or(Opening::Http1));
    }
    let mut bytes = BytesMut::new();
    loop {
        let read = stream.read_buf(&mut bytes).await?;
        let opening = if read == 0 { Some(Opening::Http1) } else { of(&bytes) };
        if let Some(opening) = opening {
            stream.put_back(bytes.freeze());
            return Ok(opening);
        }
    }
}

/// What `bytes` begin; none if more of them are to be seen.
fn of(bytes: &[u8]) -> Option<Opening> {
    if bytes.starts_with(PREFACE) {
        Some(Opening::Http2)
    } else if PREFACE.starts_with(bytes) {
        None
    } else if bytes.starts_with(PREFIX_1) || bytes.starts_with(PREFIX_2) {
        Some(Opening::ProxyProtocol)
    } else if bytes.starts_with(TLS) {
        Some(Opening::Tls)
    } else {
        Some(Opening::Http1)
    }
}

/// A transport, some of whose bytes are read again.
#[derive(Debug)]
pub(super) struct Rewound<T> {
    bytes: Bytes,
    transport: T,
}

impl<T> Rewound<T> {
    pub(super) fn new(bytes: Bytes, transport: T) -> Self {
        Self { bytes, transport }
    }
}

impl<T: Transport> AsyncRead for Rewound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Pin::new(&mut self.transport).poll_read(context, buffer);
        }
        let count = self.bytes.len().min(buffer.remaining());
        buffer.put_slice(&self.bytes.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_known_by_its_first_bytes() {
        for (bytes, opening) in [
            (PREFACE, Some(Opening::Http2)),
            (&PREFACE[..3], None),
            (b"P", None),
            (b"PRI * HTTP/1.1\r\n", Some(Opening::Http1)),
            (b"POST / HTTP/1.1", Some(Opening::Http1)),
            (b"PROXY TCP4 ", Some(Opening::ProxyProtocol)),
            (PREFIX_2, Some(Opening::ProxyProtocol)),
            (b"\r\n\r\nGET / HTTP/1.1", Some(Opening::Http1)),
            (b"\x16\x03\x01\x02", Some(Opening::Tls)),
        ] {
            assert_eq!(of(bytes), opening, "{bytes:?}");
        }
    }
}
