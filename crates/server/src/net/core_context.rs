//! The state that all connections of one core share.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use throng_domain::clock::Clock;
use tracing::warn;

use super::addresses::{Addresses, IsProxy};
use super::date::Date;
use super::deadlines::IdleTimeouts;
use super::http2::UnsentBytes;
use super::opening::Opening;
use super::service::ErrorBody;
use super::shutdown::Shutdown;
use super::tls::Tls;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// A core's service, and the state that its connections share.
pub(super) struct CoreContext<S> {
    pub(super) service: S,
    pub(super) error_body: ErrorBody,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) date: Date,
    /// `None` if connections aren't encrypted, or if a proxy terminates TLS.
    pub(super) tls: Option<Arc<Tls>>,
    /// Response bytes that HTTP/2 clients haven't read yet.
    pub(super) unsent: UnsentBytes,
    /// Identifies trusted proxies.
    pub(super) is_proxy: IsProxy,
    /// Whether connections from trusted proxies begin with a PROXY protocol header.
    pub(super) proxy_protocol: bool,
    pub(super) idle: IdleTimeouts,
    /// The connections of each network.
    pub(super) addresses: Arc<Addresses>,
    pub(super) clock: Arc<dyn Clock>,
    /// Limits log lines about connections with an unexpected protocol.
    pub(super) unexpected: LogRateLimiter,
}

impl<S> CoreContext<S> {
    /// Logs, at a limited rate, a protocol that this server isn't configured for, and the setting to change.
    pub(super) fn log_unexpected(&self, opening: Opening) {
        let message = match opening {
            Opening::Http1 | Opening::Http2 => return,
            Opening::ProxyProtocol => {
                "a connection begins with a PROXY header and is refused; set PROXY_PROTOCOL=true, and TRUSTED_PROXIES to \
                 the proxy's network"
            }
            Opening::Tls => {
                "a client begins with TLS on a port without it; set TLS_CERTIFICATE and TLS_KEY, or have clients use http://"
            }
        };
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(unlogged, "{message}");
        }
    }

    pub(super) fn log_missing_header(&self, proxy: IpAddr, error: &io::Error) {
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(
                %proxy, %error, unlogged,
                "a connection from a trusted proxy has no PROXY header and is closed; have the proxy send it, or unset \
                 PROXY_PROTOCOL"
            );
        }
    }

    pub(super) fn log_missing_tls(&self) {
        if let Some(unlogged) = self.unexpected.take(self.clock.now()) {
            warn!(
                unlogged,
                "a connection to this TLS port doesn't begin with TLS and is closed; have clients use https://, and a \
                 proxy's PROXY header needs PROXY_PROTOCOL=true and TRUSTED_PROXIES"
            );
        }
    }
}
