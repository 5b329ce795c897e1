//! HTTP/2 on one connection, by the library, with bounds on all that a client may ask for at once.

mod body;
mod streams;
mod unsent;
mod watch;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tracing::debug;

use self::body::{AnswerBody, TimedBody};
use self::streams::Streams;
pub(super) use self::unsent::UnsentBytes;
use self::unsent::{BALLOT_BYTES, READ_BYTES};
use self::watch::{Watch, Word};
use super::connection::{HEAD_BYTES_MAX, Host, Waits};
use super::outgoing::{Outgoing, Transport};
use super::{Answer, refusal, rules};

/// Requests that a connection may have open at once.
const STREAMS_MAX: u32 = 128;

/// Bytes of bodies that a client may send ahead, on a stream and on a connection: a body has at most 16 KB.
const STREAM_WINDOW: u32 = 32 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;

/// Bytes of an answer that wait on a stream before more are made.
const SEND_BUFFER_MAX: usize = 64 * 1024;

/// Requests taken back before they were looked at, at once (CVE-2023-44487), and requests in the life of a connection
/// that were wrong enough for the library to reset them: the one after ends the connection.
const TAKEN_BACK_MAX: usize = 20;
const WRONG_MAX: usize = 128;

/// A client that has sent nothing for a while is asked for a sign, and has so long to give it: one that is gone without
/// a word is noticed even while it is our turn.
const PING_AFTER: Duration = Duration::from_secs(5);
const PONG_MAX: Duration = Duration::from_secs(8);

/// Serves a connection with `peer` to its end.
pub(super) async fn serve<S: Answer, T: Transport>(
    transport: T,
    peer: IpAddr,
    host: &Arc<Host<S>>,
    Waits { first_byte_by, idle_max }: Waits,
) -> Result<(), hyper::Error> {
    let streams = Arc::new(Streams::new(first_byte_by, idle_max, host.unsent.clone()));
    let service = service_fn({
        let (host, streams) = (Arc::clone(host), Arc::clone(&streams));
        move |request| answer(Arc::clone(&host), peer, Arc::clone(&streams), request)
    });
    let connection = builder().serve_connection(TokioIo::new(Outgoing::new(transport)), service);
    let mut connection = pin!(connection);
    let mut drain = pin!(host.shutdown.stop_accepting());
    let (mut waits, mut closes) = (false, false);
    let mut watch = Watch::new(first_byte_by);
    poll_fn(|context| {
        // Polled once, it leaves this task's waker behind, which is all that is needed.
        if !waits {
            waits = true;
            let _ = drain.as_mut().poll(context);
        }
        loop {
            if !closes && (streams.are_last() || host.shutdown.is_draining()) {
                closes = true;
                streams.make_last();
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            match watch.poll(&streams, context) {
                Poll::Ready(Word::Close) => streams.make_last(),
                Poll::Ready(Word::Cut) => {
                    debug!("a connection was cut: its client is too slow");
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_pending_accept_reset_streams(TAKEN_BACK_MAX)
        .max_local_error_reset_streams(WRONG_MAX)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_MAX);
    builder
}

/// The service's answer, whose way to the client is watched.
async fn answer<S: Answer>(
    host: Arc<Host<S>>,
    peer: IpAddr,
    streams: Arc<Streams>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    if let Some(status) = rules::http2_fault(&request) {
        return Ok(refusal::refused(status, host.refusal_body).map(AnswerBody::unwatched));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(answering) = streams.begin(if is_read { READ_BYTES } else { BALLOT_BYTES }).await else {
        let mut refused = refusal::overloaded(host.refusal_body).map(AnswerBody::unwatched);
        host.date.set(refused.headers_mut());
        return Ok(refused);
    };
    let is_head = *request.method() == Method::HEAD;
    let request = request.map(|body| TimedBody::new(body, streams));
    let mut response = host.service.answer(request, peer).await;
    host.date.set(response.headers_mut());
    if is_head {
        take_body(&mut response);
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        // Its length would be that of the answer that it stands for (RFC 9110, 8.6); with HTTP/1 the library sees to it.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let bytes = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
    let leaving = answering.answered(bytes);
    Ok(response.map(|body| AnswerBody::new(body, leaving)))
}

/// Leaves of the answer's body only its length, as a `HEAD` is answered: with HTTP/1 the library does that.
fn take_body(response: &mut Response<Body>) {
    let body = std::mem::take(response.body_mut());
    if let Some(length) = body.size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
}
