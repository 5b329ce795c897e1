//! Nobody holds every connection: a network has at most half of a core's places.
//!
//! A network is an IPv4 address or the /64 of an IPv6 address, as one subscriber has it. Proxies of ours and this machine
//! itself have all places: many clients come by them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tracing::warn;

use super::IsProxy;
use super::listen::SAID_EVERY;

/// The bits of an IPv6 address that are a network.
const NETWORK: u128 = !(u64::MAX as u128);

/// How many connections each network has.
type Open = Mutex<HashMap<u128, usize>>;

/// How many connections each network has on one core. No more networks are kept than there are connections.
pub(super) struct Addresses {
    open: Arc<Open>,
    max: usize,
    is_proxy: IsProxy,
    said: Mutex<Option<Instant>>,
}

/// A network's share of the places, with one more connection until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Share(Option<(Arc<Open>, u128)>);

impl Addresses {
    /// None is open yet, of `connections_max`.
    pub(super) fn new(connections_max: usize, is_proxy: IsProxy) -> Self {
        Self { open: Arc::default(), max: (connections_max / 2).max(1), is_proxy, said: Mutex::default() }
    }

    /// Counts a connection from `peer` in; `None` if its network has as many as it may. The log says so now and then.
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
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
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

fn network(address: IpAddr) -> u128 {
    match address {
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
    fn an_address_has_half_of_the_places() {
        let addresses = addresses();
        let admit = |address: &str| addresses.admit(address.parse().unwrap());
        let mut shares: Vec<_> = (0..3).map(|_| admit("192.0.2.1").unwrap()).collect();
        assert!(admit("192.0.2.1").is_none() && admit("::ffff:192.0.2.1").is_none());
        let others = admit("192.0.2.2").unwrap();
        shares.pop();
        shares.push(admit("192.0.2.1").unwrap());
        assert!(admit("192.0.2.1").is_none());
        drop((shares, others));
        assert!(addresses.open.lock().unwrap().is_empty(), "what has no connection is not kept");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let addresses = addresses();
        let _shares: Vec<_> = (0..3)
            .map(|host| addresses.admit(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, host, 0, 0, 1).into()).unwrap())
            .collect();
        assert!(addresses.admit("2001:db8::ffff:0:0:1".parse().unwrap()).is_none());
        assert!(addresses.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn proxies_and_this_machine_have_all_places() {
        let addresses = addresses();
        for address in ["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let shares: Vec<_> = (0..10).map(|_| addresses.admit(address.parse().unwrap())).collect();
            assert!(shares.iter().all(Option::is_some), "{address}");
        }
    }
}
