//! The fast path for simple requests: it bypasses the HTTP library, which costs as much as the vote itself.
//!
//! A connection stays on the fast path as long as each request is simple and the service accepts it. The bytes of the first
//! other request are put back, and the library serves the connection until it closes. So all complex HTTP is left to the
//! library, and a connection on the fast path needs no buffer of its own.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::super::core_context::CoreContext;
use super::super::date::Date;
use super::super::service::FastPath;
use super::super::write_timeout::Transport;
use super::simple_request::SimpleRequest;
use super::timeout_stream::TimeoutStream;

/// The longest simple request, in bytes.
const SIMPLE_BYTES_MAX: usize = 4 * 1024;

/// Room for the head of a response, in bytes: nearly all fit, also those with a receipt and a voter's cookie.
const HEAD_BYTES: usize = 512;

/// How a connection left the fast path.
pub(super) enum Exit {
    /// The library must serve it; the bytes of its request are put back.
    ToLibrary {
        /// Whether this is the connection's first request.
        is_first: bool,
    },
    /// It is closed.
    Closed,
}

/// Serves the requests of a connection with `peer` until one isn't simple.
pub(super) async fn run<S: FastPath, T: Transport>(
    stream: &mut TimeoutStream<T>,
    peer: IpAddr,
    core: &CoreContext<S>,
) -> io::Result<Exit> {
    let CoreContext { service, shutdown, date, .. } = core;
    let mut close_idle = pin!(shutdown.close_idle());
    let (mut is_registered, mut is_first) = (false, true);
    loop {
        let next = poll_fn(|context| {
            // Polled once, to register this task's waker.
            if !is_registered {
                is_registered = true;
                let _ = close_idle.as_mut().poll(context);
            }
            let next = poll_next(stream, service, peer, context);
            let must_close = next.is_pending() && shutdown.is_draining() && shutdown.closes_idle();
            if must_close { Poll::Ready(Ok(Next::End)) } else { next }
        });
        let accepted = match next.await? {
            Next::Accepted(accepted) => accepted,
            Next::ToLibrary => return Ok(Exit::ToLibrary { is_first }),
            Next::End => break,
        };
        is_first = false;
        let response = service.respond_fast(accepted).await;
        let closing = shutdown.is_draining();
        stream.write_all(&message(&response, closing, date)).await?;
        stream.flush().await?;
        if closing {
            break;
        }
    }
    stream.shutdown().await?;
    Ok(Exit::Closed)
}

/// The next step on a connection.
enum Next<A> {
    Accepted(A),
    ToLibrary,
    End,
}

fn poll_next<S: FastPath, T: Transport>(
    stream: &mut TimeoutStream<T>,
    service: &S,
    peer: IpAddr,
    context: &mut Context<'_>,
) -> Poll<io::Result<Next<S::Accepted>>> {
    let mut scratch = [const { MaybeUninit::uninit() }; SIMPLE_BYTES_MAX];
    let mut buffer = ReadBuf::uninit(&mut scratch);
    ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
    let bytes = buffer.filled();
    if bytes.is_empty() {
        return Poll::Ready(Ok(Next::End));
    }
    Poll::Ready(Ok(match SimpleRequest::parse(bytes).and_then(|request| service.accept(&request, peer)) {
        Some(accepted) => Next::Accepted(accepted),
        None => {
            stream.put_back(Bytes::copy_from_slice(bytes));
            Next::ToLibrary
        }
    }))
}

/// The bytes of a response.
fn message(response: &Response<Bytes>, closing: bool, date: &Date) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD_BYTES + response.body().len());
    match response.status() {
        StatusCode::OK => message.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        status => write!(message, "HTTP/1.1 {status}\r\n").expect("writing to a Vec can't fail"),
    }
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            message.extend_from_slice(part);
        }
    }
    date.write(&mut message);
    if closing {
        message.extend_from_slice(b"connection: close\r\n");
    }
    let length = response.body().len();
    for part in [b"content-length: ", itoa::Buffer::new().format(length).as_bytes(), b"\r\n\r\n", response.body()] {
        message.extend_from_slice(part);
    }
    message
}
