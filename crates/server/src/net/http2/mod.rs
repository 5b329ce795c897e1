//! HTTP/2 on one connection, served by the library, with limits on everything that a client may request at once.

mod body;
mod idle_timer;
mod streams;
#[cfg(test)]
mod tests;
mod unsent;

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

use self::body::{ResponseBody, TimedBody};
use self::idle_timer::{Expiry, IdleTimer};
use self::streams::Streams;
pub(super) use self::unsent::UnsentBytes;
use self::unsent::{BALLOT_BYTES, READ_BYTES};
use super::core_context::CoreContext;
use super::deadlines::Waits;
use super::rules::HEAD_BYTES_MAX;
use super::service::FastPath;
use super::write_timeout::{Transport, WriteTimeout};
use super::{error_response, rules};

/// The maximum number of concurrent requests on a connection.
const STREAMS_MAX: u32 = 128;

/// Flow-control windows for request bodies, per stream and per connection, in bytes: a body has at most 16 KB.
const STREAM_WINDOW: u32 = 32 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;

/// Bytes of a response that are buffered per stream before more are produced.
const SEND_BUFFER_MAX: usize = 64 * 1024;

/// Limits beyond which the connection is closed: requests that the client has reset before the server accepted them, at once
/// (CVE-2023-44487), and requests that the library has reset because of an error, in the connection's lifetime.
const PENDING_RESETS_MAX: usize = 20;
const ERROR_RESETS_MAX: usize = 128;

/// A client that has sent nothing for this long is pinged, and has this long to reply: a client that is gone is detected even
/// while one of its requests is in flight.
const PING_AFTER: Duration = Duration::from_secs(5);
const PONG_MAX: Duration = Duration::from_secs(8);

/// Serves a connection with `peer` until it closes.
pub(super) async fn serve<S: FastPath, T: Transport>(
    transport: T,
    peer: IpAddr,
    core: &Arc<CoreContext<S>>,
    Waits { first_byte_by, idle_max }: Waits,
) -> Result<(), hyper::Error> {
    let streams = Arc::new(Streams::new(first_byte_by, idle_max, core.unsent.clone()));
    let service = service_fn({
        let (core, streams) = (Arc::clone(core), Arc::clone(&streams));
        move |request| respond(Arc::clone(&core), peer, Arc::clone(&streams), request)
    });
    let connection = builder().serve_connection(TokioIo::new(WriteTimeout::new(transport)), service);
    let mut connection = pin!(connection);
    let mut drain = pin!(core.shutdown.stop_accepting());
    let (mut is_registered, mut is_closing) = (false, false);
    let mut timer = IdleTimer::new(first_byte_by);
    poll_fn(|context| {
        // Polled once, to register this task's waker.
        if !is_registered {
            is_registered = true;
            let _ = drain.as_mut().poll(context);
        }
        loop {
            if !is_closing && (streams.is_closing() || core.shutdown.is_draining()) {
                is_closing = true;
                streams.stop_accepting_streams();
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            match timer.poll(&streams, context) {
                Poll::Ready(Expiry::GoAway) => streams.stop_accepting_streams(),
                Poll::Ready(Expiry::Abort) => {
                    debug!("a connection was closed because its client is too slow");
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
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_MAX);
    builder
}

/// The service's response, with a timeout for the client to read it.
async fn respond<S: FastPath>(
    core: Arc<CoreContext<S>>,
    peer: IpAddr,
    streams: Arc<Streams>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    if let Some(status) = rules::http2_fault(&request) {
        let mut response = error_response::error_response(status, core.error_body).map(ResponseBody::untimed);
        core.date.set(response.headers_mut());
        return Ok(response);
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(in_flight) = streams.begin(if is_read { READ_BYTES } else { BALLOT_BYTES }).await else {
        let mut response = error_response::overloaded(core.error_body).map(ResponseBody::untimed);
        core.date.set(response.headers_mut());
        return Ok(response);
    };
    let is_head = *request.method() == Method::HEAD;
    let request = request.map(|body| TimedBody::new(body, streams));
    let mut response = core.service.respond(request, peer).await;
    core.date.set(response.headers_mut());
    if is_head {
        omit_body(&mut response);
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        // The length would have to be that of the response to a `GET` (RFC 9110, 8.6); with HTTP/1 the library omits it.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let bytes = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
    let sending = in_flight.responded(bytes);
    Ok(response.map(|body| ResponseBody::new(body, sending)))
}

/// Removes the response's body but keeps its length, for a `HEAD` request; with HTTP/1 the library does this.
fn omit_body(response: &mut Response<Body>) {
    let body = std::mem::take(response.body_mut());
    if let Some(length) = body.size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
}
