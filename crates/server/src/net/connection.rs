//! One connection, from accept to close.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::addresses::Share;
use super::core_context::CoreContext;
use super::deadlines::{FIRST_BYTE_MAX, PROXY_PROBED_AFTER, Waits};
use super::service::FastPath;
use super::tls::{self, Protocol, Tls};
use super::write_timeout::late;
use super::{http1, http2, proxy_protocol};
use crate::telemetry::metrics::ConnectionMetrics;

/// An open connection's permit and metrics, released when it closes.
pub(super) struct ConnectionGuard {
    _permit: OwnedSemaphorePermit,
    _share: Share,
    connections: ConnectionMetrics,
}

impl ConnectionGuard {
    pub(super) fn new(permit: OwnedSemaphorePermit, share: Share, connections: ConnectionMetrics) -> Self {
        connections.open.inc();
        connections.accepted.inc();
        Self { _permit: permit, _share: share, connections }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.open.dec();
    }
}

/// Serves an accepted connection in its own task.
pub(super) fn spawn<S: FastPath>(
    (stream, peer): (TcpStream, SocketAddr),
    core: Arc<CoreContext<S>>,
    guard: ConnectionGuard,
) {
    tokio::spawn(core.shutdown.connections().track_future({
        let core = Arc::clone(&core);
        async move {
            let _guard = guard;
            if let Err(error) = serve(stream, peer.ip(), &core).await {
                debug!(%error, "a connection ended early");
            }
        }
    }));
}

async fn serve<S: FastPath>(
    mut stream: TcpStream,
    mut peer: IpAddr,
    core: &Arc<CoreContext<S>>,
) -> Result<(), hyper::Error> {
    // A response is one small packet; waiting for a second one would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone before its first byte");
        return Ok(());
    }
    let first_byte_by = Instant::now() + FIRST_BYTE_MAX;
    let is_proxy = (core.is_proxy)(peer);
    let mut idle_max = if is_proxy { core.idle.proxies } else { core.idle.clients };
    if is_proxy {
        probe_while_idle(&stream);
    }
    let mut _share = Share::default();
    if is_proxy && core.proxy_protocol {
        let header = timeout_at(first_byte_by, proxy_protocol::read(&mut stream)).await;
        match header.unwrap_or_else(|_| Err(late("the PROXY header is too slow"))) {
            // The connection carries this client only, so a client's limits apply.
            Ok(Some(client)) => {
                (peer, idle_max) = (client, core.idle.clients);
                match core.addresses.admit(client) {
                    Some(share) => _share = share,
                    None => return Ok(()),
                }
            }
            Ok(None) => {}
            // A port check sends nothing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => {
                core.log_missing_header(peer, &error);
                return Ok(());
            }
        }
    }
    let waits = Waits { first_byte_by, idle_max };
    match &core.tls {
        None => http1::serve(stream, peer, core, waits).await,
        // Boxed, so that the future of a connection without TLS isn't larger for it.
        Some(tls) => Box::pin(serve_encrypted(stream, peer, tls, core, waits)).await,
    }
}

/// Enables TCP keepalive, to detect a proxy that is gone.
fn probe_while_idle(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROXY_PROBED_AFTER).with_interval(PROXY_PROBED_AFTER / 6);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        debug!(%error, "TCP keepalive can't be set on a proxy's connection");
    }
}

async fn serve_encrypted<S: FastPath>(
    stream: TcpStream,
    peer: IpAddr,
    tls: &Tls,
    core: &Arc<CoreContext<S>>,
    waits: Waits,
) -> Result<(), hyper::Error> {
    let handshake = tokio::select! {
        handshake = tls.handshake(stream, waits.first_byte_by) => handshake,
        () = core.shutdown.close_idle() => return Ok(()),
    };
    match handshake {
        Ok((stream, Protocol::Http1)) => http1::serve(stream, peer, core, waits).await,
        Ok((stream, Protocol::Http2)) => http2::serve(stream, peer, core, waits).await,
        Err(error) => {
            if tls::is_other_protocol(&error) {
                core.log_missing_tls();
            }
            debug!(%error, "the TLS handshake failed");
            Ok(())
        }
    }
}
