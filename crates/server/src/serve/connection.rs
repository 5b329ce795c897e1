//! One connection, from accept to close.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::guard::GuardedStream;
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

/// Serves `stream` in a task of its own.
pub(super) fn spawn<S: Answer>(
    stream: TcpStream,
    service: S,
    refusal_body: RefusalBody,
    shutdown: &Arc<Shutdown>,
    opened: Opened,
) {
    let shutdown = Arc::clone(shutdown);
    tokio::spawn(shutdown.connections().track_future({
        let shutdown = Arc::clone(&shutdown);
        async move {
            let _opened = opened;
            // An answer is one small packet; waiting for a second one would only delay it.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "a connection was gone before its first byte");
                return;
            }
            let io = TokioIo::new(GuardedStream::new(stream, refusal_body));
            let connection = http1::Builder::new()
                .keep_alive(true)
                // Don't look, while an answer is being made, whether the client is still there: a ballot that was
                // taken is recorded in any case, and a client may close its end once it has sent all.
                .half_close(true)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(io, service);
            run(connection, &shutdown).await;
        }
    }));
}

/// Drives the connection to its end, and from the shutdown's word on to an early one.
///
/// The wait for that word is polled once: it leaves this task's waker behind, which is all that is needed. Polling it
/// with every request would have all cores fight over its lock.
async fn run<S: Answer>(connection: http1::Connection<TokioIo<GuardedStream>, S>, shutdown: &Shutdown) {
    let mut connection = pin!(connection);
    let mut close_idle = pin!(shutdown.close_idle());
    let (mut waits, mut closes) = (false, false);
    let ended = poll_fn(|context| {
        if !waits {
            waits = true;
            let _ = close_idle.as_mut().poll(context);
        }
        if !closes && shutdown.is_draining() && shutdown.closes_idle() {
            closes = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        debug!(%error, "a connection ended early");
    }
}
