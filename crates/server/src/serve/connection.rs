//! One connection, from accept to close.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

use super::date::Date;
use super::deadlines::FIRST_BYTE_MAX;
use super::http2::UnsentBytes;
use super::tls::{Protocol, Tls};
use super::{Answer, RefusalBody, Shutdown, http1, http2};

/// The longest head of a request, in bytes: its first line and its headers.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

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
    /// None where connections aren't encrypted, or somebody in front does it.
    pub(super) tls: Option<Arc<Tls>>,
    /// What waits on connections of HTTP/2.
    pub(super) unsent: UnsentBytes,
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
    let first_byte_by = Instant::now() + FIRST_BYTE_MAX;
    match &host.tls {
        None => http1::serve(stream, peer, host, first_byte_by).await,
        // In a box of its own, so that a connection without TLS is no larger for it.
        Some(tls) => Box::pin(serve_encrypted(stream, peer, tls, host, first_byte_by)).await,
    }
}

async fn serve_encrypted<S: Answer>(
    stream: TcpStream,
    peer: IpAddr,
    tls: &Tls,
    host: &Arc<Host<S>>,
    first_byte_by: Instant,
) -> Result<(), hyper::Error> {
    let handshake = tokio::select! {
        handshake = tls.handshake(stream, first_byte_by) => handshake,
        () = host.shutdown.close_idle() => return Ok(()),
    };
    match handshake {
        Ok((stream, Protocol::Http1)) => http1::serve(stream, peer, host, first_byte_by).await,
        Ok((stream, Protocol::Http2)) => http2::serve(stream, peer, host, first_byte_by).await,
        Err(error) => {
            debug!(%error, "a connection ended before it was encrypted");
            Ok(())
        }
    }
}
