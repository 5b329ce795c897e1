//! Time limits for clients.

use std::time::Duration;

use tokio::time::Instant;

/// From accepting a connection to its first byte. It includes the TLS handshake and, with HTTP/2, the whole head of the first
/// request.
pub(super) const FIRST_BYTE_MAX: Duration = Duration::from_secs(8);

/// From a request's first byte to its last.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(8);

/// From a response to the next request's first byte, by default: see [`IdleTimeouts`].
pub(super) const IDLE_MAX: Duration = Duration::from_secs(15);

/// The same for trusted proxies: longer than any proxy keeps an idle connection by default (Envoy, one hour). A proxy that
/// sends a request on a connection that is being closed can't know whether the request was read.
const PROXY_IDLE_MAX: Duration = Duration::from_secs(3_660);

/// Idle time after which TCP keepalive probes a proxy's connection: the connections of a proxy that vanished without closing
/// them are closed within about two minutes.
pub(super) const PROXY_PROBED_AFTER: Duration = Duration::from_secs(60);

/// How long a connection may be idle, from a response to the next request's first byte.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeouts {
    /// For clients.
    pub clients: Duration,
    /// For trusted proxies.
    pub proxies: Duration,
}

impl IdleTimeouts {
    /// The same timeout for clients and proxies.
    pub fn all(timeout: Duration) -> Self {
        Self { clients: timeout, proxies: timeout }
    }
}

impl Default for IdleTimeouts {
    fn default() -> Self {
        Self { clients: IDLE_MAX, proxies: PROXY_IDLE_MAX }
    }
}

/// How long a client may send nothing on one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// The deadline of the first byte: see [`FIRST_BYTE_MAX`].
    pub(super) first_byte_by: Instant,
    /// From a response to the next request's first byte.
    pub(super) idle_max: Duration,
}

/// How long a client may read nothing of a response.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(8);

/// From closing the sending half of a connection to the client closing its own.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_clients_are_closed_within_ten_seconds() {
        for longest in [FIRST_BYTE_MAX, REQUEST_MAX, UNREAD_MAX] {
            assert!(longest + LINGER_MAX <= Duration::from_secs(10), "{longest:?}");
        }
    }

    #[test]
    fn proxies_close_idle_connections_before_the_server() {
        // Default idle timeouts, in seconds: nginx and Varnish 60, Caddy 120, Google's load balancers 600, Envoy 3,600.
        let longest = Duration::from_secs(3_600);
        let IdleTimeouts { clients, proxies } = IdleTimeouts::default();
        assert!(proxies > longest && clients < Duration::from_secs(60), "{proxies:?}, {clients:?}");
    }
}
