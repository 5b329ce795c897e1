//! Detects a connection's protocol if it isn't HTTP/1: HTTP/2 with prior knowledge (RFC 9113, 3.3), or a protocol that only a
//! server with other settings accepts.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use super::http1::timeout_stream::TimeoutStream;
use super::proxy_protocol::{PREFIX_1, PREFIX_2};
use super::write_timeout::Transport;

/// The connection preface of HTTP/2 clients.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of TLS: a handshake record, of any version 3.
const TLS: &[u8] = b"\x16\x03";

/// The protocol that a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// HTTP/1, or anything unknown.
    Http1,
    /// HTTP/2, with prior knowledge.
    Http2,
    /// A PROXY protocol header.
    ProxyProtocol,
    /// TLS.
    Tls,
}

/// The protocol of `stream`, from the bytes that were put back to it; reads more of them if needed, and puts them back too.
pub(super) async fn find<T: Transport>(stream: &mut TimeoutStream<T>) -> io::Result<Opening> {
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

/// The protocol that begins with `bytes`; `None` if more bytes are needed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_is_detected_by_its_first_bytes() {
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
