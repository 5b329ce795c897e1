//! One connection, from accept to close.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use throng_domain::clock::Clock;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::addresses::{Addresses, Share};
use super::date::Date;
use super::deadlines::{FIRST_BYTE_MAX, IdleTimeouts, PROXY_PROBED_AFTER};
use super::http2::UnsentBytes;
use super::opening::Opening;
use super::outgoing::late;
use super::tls::{self, Protocol, Tls};
use super::{Answer, ConnectionMetrics, IsProxy, RefusalBody, Shutdown, http1, http2, proxy_protocol};
use crate::log_rate_limiter::LogRateLimiter;

/// The longest head of a request, in bytes: its first line and its headers.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// An open connection's place, given back when it closes.
pub(super) struct Opened {
    _place: OwnedSemaphorePermit,
    _share: Share,
    connections: ConnectionMetrics,
}

impl Opened {
    pub(super) fn new(place: OwnedSemaphorePermit, share: Share, connections: ConnectionMetrics) -> Self {
        connections.open.inc();
        connections.accepted.inc();
        Self { _place: place, _share: share, connections }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.connections.open.dec();
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
    /// Knows proxies of ours.
    pub(super) is_proxy: IsProxy,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub(super) proxy_protocol: bool,
    pub(super) idle: IdleTimeouts,
    /// How many connections each address has.
    pub(super) addresses: Arc<Addresses>,
    pub(super) clock: Arc<dyn Clock>,
    /// The lines on connections that begin otherwise than this server expects.
    pub(super) unexpected: LogRateLimiter,
}

/// How long a client may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// When the first byte is late; with TLS the handshake is part of it, with HTTP/2 all of the first request's head.
    pub(super) first_byte_by: Instant,
    /// From a response to the next request's first byte.
    pub(super) idle_max: Duration,
}

impl<S> Host<S> {
    /// Says now and then what a client speaks that this server isn't set to, and which setting would.
    pub(super) fn tell_unexpected(&self, opening: Opening) {
        let what = match opening {
            Opening::Http1 | Opening::Http2 => return,
            Opening::ProxyProtocol => {
                "a connection begins with a PROXY header and is refused; set PROXY_PROTOCOL=true, and TRUSTED_PROXIES to \
                 the proxy's network"
            }
            Opening::Tls => {
                "a client speaks TLS, and this port doesn't; set TLS_CERTIFICATE and TLS_KEY, or have clients use http://"
            }
        };
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(unlogged, "{what}");
        }
    }

    fn tell_no_header(&self, proxy: IpAddr, error: &io::Error) {
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(
                %proxy, %error, unlogged,
                "a connection from a trusted proxy has no PROXY header and is closed; have the proxy send it, or unset \
                 PROXY_PROTOCOL"
            );
        }
    }

    fn tell_no_tls(&self) {
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(
                unlogged,
                "a connection to this TLS port doesn't begin with TLS and is closed; have clients use https://, and a \
                 proxy's PROXY header needs PROXY_PROTOCOL=true and TRUSTED_PROXIES"
            );
        }
    }
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

async fn serve<S: Answer>(mut stream: TcpStream, mut peer: IpAddr, host: &Arc<Host<S>>) -> Result<(), hyper::Error> {
    // An answer is one small packet; waiting for a second one would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection was gone before its first byte");
        return Ok(());
    }
    let first_byte_by = Instant::now() + FIRST_BYTE_MAX;
    let is_proxy = (host.is_proxy)(peer);
    let mut idle_max = if is_proxy { host.idle.proxies } else { host.idle.clients };
    if is_proxy {
        probe_while_idle(&stream);
    }
    let mut _share = Share::default();
    if is_proxy && host.proxy_protocol {
        let header = timeout_at(first_byte_by, proxy_protocol::read(&mut stream)).await;
        match header.unwrap_or_else(|_| Err(late("the PROXY header is too slow"))) {
            // The connection is this client's alone, with a client's bounds.
            Ok(Some(client)) => {
                (peer, idle_max) = (client, host.idle.clients);
                match host.addresses.admit(client) {
                    Some(share) => _share = share,
                    None => return Ok(()),
                }
            }
            Ok(None) => {}
            // A check of whether the port is open says nothing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => {
                host.tell_no_header(peer, &error);
                return Ok(());
            }
        }
    }
    let waits = Waits { first_byte_by, idle_max };
    match &host.tls {
        None => http1::serve(stream, peer, host, waits).await,
        // In a box of its own, so that a connection without TLS is no larger for it.
        Some(tls) => Box::pin(serve_encrypted(stream, peer, tls, host, waits)).await,
    }
}

/// Has the system ask now and then whether the proxy at the other end is still there.
fn probe_while_idle(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROXY_PROBED_AFTER).with_interval(PROXY_PROBED_AFTER / 6);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        debug!(%error, "a proxy's connection isn't probed while it is idle");
    }
}

async fn serve_encrypted<S: Answer>(
    stream: TcpStream,
    peer: IpAddr,
    tls: &Tls,
    host: &Arc<Host<S>>,
    waits: Waits,
) -> Result<(), hyper::Error> {
    let handshake = tokio::select! {
        handshake = tls.handshake(stream, waits.first_byte_by) => handshake,
        () = host.shutdown.close_idle() => return Ok(()),
    };
    match handshake {
        Ok((stream, Protocol::Http1)) => http1::serve(stream, peer, host, waits).await,
        Ok((stream, Protocol::Http2)) => http2::serve(stream, peer, host, waits).await,
        Err(error) => {
            if tls::is_other_protocol(&error) {
                host.tell_no_tls();
            }
            debug!(%error, "a connection ended before it was encrypted");
            Ok(())
        }
    }
}
