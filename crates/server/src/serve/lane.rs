//! The lane for plain requests: answered without HTTP's library around them, which costs as much as the vote does.
//!
//! A connection stays here for as long as each of its requests is plain and one that the service takes here. With the
//! first other one it goes to the library, the bytes put back, and stays there. So all that is hard about HTTP is
//! left to the library, and a connection here needs no buffer of its own.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::Answer;
use super::connection::Host;
use super::date::Date;
use super::guard::GuardedStream;
use super::outgoing::Transport;
use super::plain::PlainRequest;

/// The longest plain request, in bytes.
const PLAIN_BYTES_MAX: usize = 4 * 1024;

/// What becomes of a connection that leaves the lane.
pub(super) enum Left {
    /// It is to be served by the library, which finds the bytes of its request unread.
    ToLibrary {
        /// Whether nothing was answered before.
        is_first: bool,
    },
    /// It has ended.
    Ended,
}

/// Answers the requests of a connection with `peer` until one isn't plain.
pub(super) async fn run<S: Answer, T: Transport>(
    stream: &mut GuardedStream<T>,
    peer: IpAddr,
    host: &Host<S>,
) -> io::Result<Left> {
    let Host { service, shutdown, date, .. } = host;
    let mut close_idle = pin!(shutdown.close_idle());
    let (mut waits, mut is_first) = (false, true);
    loop {
        let next = poll_fn(|context| {
            // Polled once, it leaves this task's waker behind, which is all that is needed.
            if !waits {
                waits = true;
                let _ = close_idle.as_mut().poll(context);
            }
            let next = poll_next(stream, service, peer, context);
            let ends = next.is_pending() && shutdown.is_draining() && shutdown.closes_idle();
            if ends { Poll::Ready(Ok(Next::End)) } else { next }
        });
        let begun = match next.await? {
            Next::Begun(begun) => begun,
            Next::ToLibrary => return Ok(Left::ToLibrary { is_first }),
            Next::End => break,
        };
        is_first = false;
        let answer = service.finish(begun).await;
        let closing = shutdown.is_draining();
        stream.write_all(&message(&answer, closing, date)).await?;
        stream.flush().await?;
        if closing {
            break;
        }
    }
    stream.shutdown().await?;
    Ok(Left::Ended)
}

/// What a connection brings next.
enum Next<B> {
    Begun(B),
    ToLibrary,
    End,
}

fn poll_next<S: Answer, T: Transport>(
    stream: &mut GuardedStream<T>,
    service: &S,
    peer: IpAddr,
    context: &mut Context<'_>,
) -> Poll<io::Result<Next<S::Begun>>> {
    let mut scratch = [const { MaybeUninit::uninit() }; PLAIN_BYTES_MAX];
    let mut buffer = ReadBuf::uninit(&mut scratch);
    ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
    let bytes = buffer.filled();
    if bytes.is_empty() {
        return Poll::Ready(Ok(Next::End));
    }
    Poll::Ready(Ok(match PlainRequest::parse(bytes).and_then(|request| service.begin(&request, peer)) {
        Some(begun) => Next::Begun(begun),
        None => {
            stream.put_back(Bytes::copy_from_slice(bytes));
            Next::ToLibrary
        }
    }))
}

/// The answer as it is sent.
fn message(answer: &Response<Bytes>, closing: bool, date: &Date) -> Vec<u8> {
    let mut message = Vec::with_capacity(256 + answer.body().len());
    let into_vec = "writing to a Vec can't fail";
    match answer.status() {
        StatusCode::OK => message.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        status => write!(message, "HTTP/1.1 {status}\r\n").expect(into_vec),
    }
    for (name, value) in answer.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            message.extend_from_slice(part);
        }
    }
    date.write(&mut message);
    if closing {
        message.extend_from_slice(b"connection: close\r\n");
    }
    write!(message, "content-length: {}\r\n\r\n", answer.body().len()).expect(into_vec);
    message.extend_from_slice(answer.body());
    message
}
