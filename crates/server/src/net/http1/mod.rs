//! HTTP/1.1 on one connection: the fast path for simple requests, then the library. A connection that begins with HTTP/2 is
//! served as HTTP/2.

mod fast_path;
pub(super) mod simple_request;
pub(super) mod timeout_stream;
mod unread;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tracing::debug;

use self::fast_path::Exit;
use self::timeout_stream::TimeoutStream;
use self::unread::{TrackedBody, Unread};
use super::core_context::CoreContext;
use super::deadlines::Waits;
use super::opening::{self, Opening};
use super::rules::HEAD_BYTES_MAX;
use super::service::FastPath;
use super::write_timeout::Transport;
use super::{error_response, http2, rules};

/// The maximum number of headers in a request.
const HEADERS_MAX: usize = 64;

/// Serves a connection with `peer` until it closes.
pub(super) async fn serve<S: FastPath, T: Transport>(
    transport: T,
    peer: IpAddr,
    core: &Arc<CoreContext<S>>,
    Waits { first_byte_by, idle_max }: Waits,
) -> Result<(), hyper::Error> {
    let mut stream = TimeoutStream::new(transport, first_byte_by, idle_max);
    let next = match fast_path::run(&mut stream, peer, core).await {
        Ok(Exit::ToLibrary { is_first: true }) => opening::find(&mut stream).await.map(Some),
        Ok(Exit::ToLibrary { is_first: false }) => Ok(Some(Opening::Http1)),
        Ok(Exit::Closed) => Ok(None),
        Err(error) => Err(error),
    };
    // The library's state is large, and most connections never need it.
    match next {
        Ok(Some(Opening::Http2)) => {
            Box::pin(http2::serve(stream.into_inner(), peer, core, Waits { first_byte_by, idle_max })).await
        }
        Ok(Some(opening)) => {
            core.log_unexpected(opening);
            Box::pin(serve_by_library(stream, peer, core)).await
        }
        Ok(None) => Ok(()),
        Err(error) => {
            debug!(%error, "a connection ended early");
            Ok(())
        }
    }
}

/// Serves the connection until it closes; during a shutdown it is closed after the current request.
///
/// The wait for the shutdown is polled once, to register this task's waker. Polling it with every request would make all cores
/// contend for its lock.
async fn serve_by_library<S: FastPath, T: Transport>(
    stream: TimeoutStream<T>,
    peer: IpAddr,
    core: &Arc<CoreContext<S>>,
) -> Result<(), hyper::Error> {
    let service = service_fn({
        let (core, unread) = (Arc::clone(core), Arc::<Unread>::default());
        move |request| respond(Arc::clone(&core), request, peer, Arc::clone(&unread))
    });
    let connection = http1::Builder::new()
        .keep_alive(true)
        // A client may close its sending half after its request. Until there is a response, the library doesn't watch for a
        // client that disconnects: an accepted ballot is recorded in any case.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let shutdown = &core.shutdown;
    let mut connection = pin!(connection);
    let mut close_idle = pin!(shutdown.close_idle());
    let (mut is_registered, mut is_closing) = (false, false);
    poll_fn(|context| {
        if !is_registered {
            is_registered = true;
            let _ = close_idle.as_mut().poll(context);
        }
        if !is_closing && shutdown.is_draining() && shutdown.closes_idle() {
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await
}

/// The service's response; the connection's last one during a shutdown, or if the request's body can't be read to its end.
async fn respond<S: FastPath>(
    core: Arc<CoreContext<S>>,
    request: Request<Incoming>,
    peer: IpAddr,
    unread: Arc<Unread>,
) -> Result<Response<Body>, Infallible> {
    let (mut response, keeps_alive) = match rules::http1_fault(&request) {
        Some(status) => (error_response::error_response(status, core.error_body), false),
        None => {
            let (is_head, is_sent) = (*request.method() == Method::HEAD, !request.headers().contains_key(EXPECT));
            let request = request.map(|body| TrackedBody::new(body, is_sent, &unread));
            let mut response = core.service.respond(request, peer).await;
            if is_head && response.status() == StatusCode::NOT_MODIFIED {
                omit_length(&mut response);
            }
            (response, unread.read_rest().await)
        }
    };
    core.date.set(response.headers_mut());
    if !keeps_alive || core.shutdown.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Keeps the library from writing the length of an empty body: the length would have to be that of the response to a `GET`
/// (RFC 9110, 8.6).
fn omit_length(response: &mut Response<Body>) {
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>());
}
