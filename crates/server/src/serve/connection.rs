//! One connection, from accept to close.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::date::Date;
use super::guard::GuardedStream;
use super::lane::{self, Left};
use super::{Answer, RefusalBody, Shutdown};

/// The longest head of a request, in bytes: its first line and its headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most headers a request may have.
const HEADERS_MAX: usize = 64;

/// An open connection's place, given back when it closes.
pub(super) struct Opened {
    _place: OwnedSemaphorePermit,
    connections: Gauge,
}

impl Opened {
    pub(super) fn new(place: OwnedSemaphorePermit, connections: Gauge) -> Self {
        connections.inc();
        Self { _place: place, connections }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// What serves the connections of one core.
pub(super) struct Host<S> {
    pub(super) service: S,
    pub(super) refusal_body: RefusalBody,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) date: Date,
}

/// Serves an accepted connection in a task of its own.
pub(super) fn spawn<S: Answer>((stream, peer): (TcpStream, SocketAddr), host: Arc<Host<S>>, opened: Opened) {
    tokio::spawn(host.shutdown.connections().track_future({
        let host = Arc::clone(&host);
        async move {
            let _opened = opened;
            if let Err(error) = serve(stream, peer.ip(), &host).await {
                debug!(%error, "a connection ended early");
            }
        }
    }));
}

async fn serve<S: Answer>(stream: TcpStream, peer: IpAddr, host: &Arc<Host<S>>) -> Result<(), hyper::Error> {
    // An answer is one small packet; waiting for a second one would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone before its first byte");
        return Ok(());
    }
    let mut stream = GuardedStream::new(stream, host.refusal_body);
    match lane::run(&mut stream, peer, host).await {
        // What the library needs is large, and most connections never need it.
        Ok(Left::ToLibrary) => Box::pin(serve_by_library(stream, peer, host)).await,
        Ok(Left::Ended) => Ok(()),
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
async fn serve_by_library<S: Answer>(
    stream: GuardedStream,
    peer: IpAddr,
    host: &Arc<Host<S>>,
) -> Result<(), hyper::Error> {
    let service = service_fn({
        let host = Arc::clone(host);
        move |request| answer(Arc::clone(&host), request, peer)
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

/// The service's answer; while shutting down, the connection's last one.
async fn answer<S: Answer>(
    host: Arc<Host<S>>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Infallible> {
    let mut response = host.service.answer(request, peer).await;
    if host.shutdown.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
