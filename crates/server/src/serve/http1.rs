//! HTTP/1.1 on one connection: the lane for plain requests, then the library. A client that begins with HTTP/2 gets that.

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

use super::connection::{HEAD_BYTES_MAX, Host, Waits};
use super::guard::GuardedStream;
use super::lane::{self, Left};
use super::opening::{self, Opening};
use super::outgoing::Transport;
use super::unread::{LentBody, Unread};
use super::{Answer, http2, refusal, rules};

/// The most headers a request may have.
const HEADERS_MAX: usize = 64;

/// Serves a connection with `peer` to its end.
pub(super) async fn serve<S: Answer, T: Transport>(
    transport: T,
    peer: IpAddr,
    host: &Arc<Host<S>>,
    Waits { first_byte_by, idle_max }: Waits,
) -> Result<(), hyper::Error> {
    let mut stream = GuardedStream::new(transport, host.refusal_body, first_byte_by, idle_max);
    let left = match lane::run(&mut stream, peer, host).await {
        Ok(Left::ToLibrary { is_first: true }) => opening::find(&mut stream).await.map(Some),
        Ok(Left::ToLibrary { is_first: false }) => Ok(Some(Opening::Http1)),
        Ok(Left::Ended) => Ok(None),
        Err(error) => Err(error),
    };
    // What the library needs is large, and most connections never need it.
    match left {
        Ok(Some(Opening::Http2)) => {
            Box::pin(http2::serve(stream.unguard(), peer, host, Waits { first_byte_by, idle_max })).await
        }
        Ok(Some(opening)) => {
            host.tell_unexpected(opening);
            Box::pin(serve_by_library(stream, peer, host)).await
        }
        Ok(None) => Ok(()),
        Err(error) => {
            debug!(%error, "a connection ended early");
            Ok(())
        }
    }
}

/// Drives the connection to its end, and from the shutdown's word on to an early one.
///
/// The wait for that word is polled once: it leaves this task's waker behind, which is all that is needed. Polling it
/// with every request would have all cores fight over its lock.
async fn serve_by_library<S: Answer, T: Transport>(
    stream: GuardedStream<T>,
    peer: IpAddr,
    host: &Arc<Host<S>>,
) -> Result<(), hyper::Error> {
    let service = service_fn({
        let (host, unread) = (Arc::clone(host), Arc::<Unread>::default());
        move |request| answer(Arc::clone(&host), request, peer, Arc::clone(&unread))
    });
    let connection = http1::Builder::new()
        .keep_alive(true)
        // Don't look, while an answer is being made, whether the client is still there: a ballot that was
        // taken is recorded in any case, and a client may close its end once it has sent all.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let shutdown = &host.shutdown;
    let mut connection = pin!(connection);
    let mut close_idle = pin!(shutdown.close_idle());
    let (mut waits, mut closes) = (false, false);
    poll_fn(|context| {
        if !waits {
            waits = true;
            let _ = close_idle.as_mut().poll(context);
        }
        if !closes && shutdown.is_draining() && shutdown.closes_idle() {
            closes = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await
}

/// The service's answer; while shutting down, or after a body that can't be read to its end, the connection's last one.
async fn answer<S: Answer>(
    host: Arc<Host<S>>,
    request: Request<Incoming>,
    peer: IpAddr,
    unread: Arc<Unread>,
) -> Result<Response<Body>, Infallible> {
    let (mut response, goes_on) = match rules::http1_fault(&request) {
        Some(status) => (refusal::refused(status, host.refusal_body), false),
        None => {
            let (is_head, is_on_its_way) = (*request.method() == Method::HEAD, !request.headers().contains_key(EXPECT));
            let request = request.map(|body| LentBody::new(body, is_on_its_way, &unread));
            let mut response = host.service.answer(request, peer).await;
            if is_head && response.status() == StatusCode::NOT_MODIFIED {
                leave_length_out(&mut response);
            }
            (response, unread.read_rest().await)
        }
    };
    host.date.set(response.headers_mut());
    if !goes_on || host.shutdown.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Has the library write no length, which would be that of no body: it would have to be that of the answer that this
/// one stands for (RFC 9110, 8.6).
fn leave_length_out(response: &mut Response<Body>) {
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>());
}
