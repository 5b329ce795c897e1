//! Limits one network to half of a core's connections, so that no network can hold them all.
//!
//! A network is an IPv4 address or the /64 of an IPv6 address, as assigned to one subscriber. Trusted proxies and the loopback
//! addresses are exempt: many clients connect through them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tracing::warn;

use super::listen::LOG_EVERY;

/// Whether an address belongs to a trusted proxy.
pub type IsProxy = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The bits of an IPv6 address that identify a network.
const NETWORK: u128 = !(u64::MAX as u128);

/// The number of open connections of each network.
type Open = Mutex<HashMap<u128, usize>>;

/// The number of open connections of each network on one core. Networks without a connection are not kept, so there are never
/// more entries than connections.
pub(super) struct Addresses {
    open: Arc<Open>,
    max: usize,
    is_proxy: IsProxy,
    /// When the limit was last logged.
    logged: Mutex<Option<Instant>>,
}

/// Counts as one connection of a network until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Share(Option<(Arc<Open>, u128)>);

impl Addresses {
    /// Allows each network half of `connections_max`; none is open yet.
    pub(super) fn new(connections_max: usize, is_proxy: IsProxy) -> Self {
        Self { open: Arc::default(), max: (connections_max / 2).max(1), is_proxy, logged: Mutex::default() }
    }

    /// Counts a connection from `peer`; `None` if its network is at its limit, which is logged at most every [`LOG_EVERY`].
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Share> {
        let peer = peer.to_canonical();
        if peer.is_loopback() || (self.is_proxy)(peer) {
            return Some(Share::default());
        }
        let network = network(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count < self.max {
            *count += 1;
            return Some(Share(Some((Arc::clone(&self.open), network))));
        }
        drop(open);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            warn!(
                connections = self.max,
                "one address has half of a core's connections, so no more are taken from it; if that is a proxy of \
                 yours, name it in TRUSTED_PROXIES"
            );
        }
        None
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((open, network)) = self.0.take() else { return };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

/// The network of an address, as the first address of the IPv6 network that it is, or that it maps to.
pub fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address) & NETWORK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses::new(6, Arc::new(|address| address == IpAddr::from([10, 0, 0, 1])))
    }

    #[test]
    fn an_address_gets_half_of_the_connections() {
        let addresses = addresses();
        let admit = |address: &str| addresses.admit(address.parse().unwrap());
        let mut shares: Vec<_> = (0..3).map(|_| admit("192.0.2.1").unwrap()).collect();
        assert!(admit("192.0.2.1").is_none() && admit("::ffff:192.0.2.1").is_none());
        let others = admit("192.0.2.2").unwrap();
        shares.pop();
        shares.push(admit("192.0.2.1").unwrap());
        assert!(admit("192.0.2.1").is_none());
        drop((shares, others));
        assert!(addresses.open.lock().unwrap().is_empty(), "networks without a connection are not kept");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let addresses = addresses();
        let _shares: Vec<_> = (0..3)
            .map(|host| addresses.admit(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, host, 0, 0, 1).into()).unwrap())
            .collect();
        assert!(addresses.admit("2001:db8::ffff:0:0:1".parse().unwrap()).is_none());
        assert!(addresses.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn proxies_and_loopback_are_not_limited() {
        let addresses = addresses();
        for address in ["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let shares: Vec<_> = (0..10).map(|_| addresses.admit(address.parse().unwrap())).collect();
            assert!(shares.iter().all(Option::is_some), "{address}");
        }
    }
}
