//! How long a client may take.

use std::time::Duration;

/// From accepting a connection to its first byte; with TLS the handshake is part of it, with HTTP/2 all of the first
/// request's head.
pub(super) const FIRST_BYTE_MAX: Duration = Duration::from_secs(8);

/// From a request's first byte to its last.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(8);

/// From a response to the next request's first byte, unless it is said otherwise: see [`IdleTimeouts`].
pub(super) const IDLE_MAX: Duration = Duration::from_secs(15);

/// The same for proxies of ours: longer than any of them keeps an idle connection by default, the longest of which is
/// Envoy's hour. One that sends a request on a connection that is being closed can't know whether it was read.
const PROXY_IDLE_MAX: Duration = Duration::from_secs(3_660);

/// After how long without a byte the system asks whether a proxy is still there: one that is gone without a word holds its
/// connections' places for no longer than some two minutes.
pub(super) const PROXY_PROBED_AFTER: Duration = Duration::from_secs(60);

/// How long a connection may be idle, from a response to the next request's first byte.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeouts {
    /// One of a client.
    pub clients: Duration,
    /// One of a proxy of ours.
    pub proxies: Duration,
}

impl IdleTimeouts {
    /// The same for all.
    pub fn all(timeout: Duration) -> Self {
        Self { clients: timeout, proxies: timeout }
    }
}

impl Default for IdleTimeouts {
    fn default() -> Self {
        Self { clients: IDLE_MAX, proxies: PROXY_IDLE_MAX }
    }
}

/// Without a byte of an answer being taken.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(8);

/// From our end of the connection being closed to the client closing its own.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_clients_are_gone_within_ten_seconds() {
        for longest in [FIRST_BYTE_MAX, REQUEST_MAX, UNREAD_MAX] {
            assert!(longest + LINGER_MAX <= Duration::from_secs(10), "{longest:?}");
        }
    }

    #[test]
    fn proxies_give_up_idle_connections_before_we_do() {
        // What each keeps by default, in seconds: nginx and Varnish 60, Caddy 120, Google's load balancers 600, Envoy 3,600.
        let longest = Duration::from_secs(3_600);
        let IdleTimeouts { clients, proxies } = IdleTimeouts::default();
        assert!(proxies > longest && clients < Duration::from_secs(60), "{proxies:?}, {clients:?}");
    }
}
