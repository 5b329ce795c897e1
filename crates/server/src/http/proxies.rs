//! The networks of the trusted proxies.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The number of bits in an address.
const BITS: u32 = Ipv6Addr::BITS;

/// The networks in which the trusted proxies are; empty unless configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// A network of IPv6 addresses. An IPv4 network is stored as the IPv6 network it maps to, so that both forms of an address
/// match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: u128,
    prefix_bits: u32,
}

impl TrustedProxies {
    /// Whether `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let number = number(address);
        self.0.iter().any(|network| network.contains(number))
    }
}

impl Network {
    fn contains(self, number: u128) -> bool {
        self.first_of(number) == self.first
    }

    /// The first address of the network with this prefix length that contains `number`.
    fn first_of(self, number: u128) -> u128 {
        let host_bits = BITS - self.prefix_bits;
        number.checked_shr(host_bits).map_or(0, |network| network << host_bits)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}

/// Networks such as `10.0.0.0/8` or `2001:db8::/32`, or single addresses, separated by commas.
impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let listed = text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(str::parse);
        listed.collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network: write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let own_bits = if address.is_ipv4() { 32 } else { BITS };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= own_bits).ok_or_else(wrong)?,
            None => own_bits,
        };
        let network = Self { first: number(address), prefix_bits: prefix_bits + (BITS - own_bits) };
        if network.first_of(network.first) == network.first {
            Ok(network)
        } else {
            Err(format!("`{text}` has bits set after its prefix; write the network's first address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(networks: &str, address: &str) -> bool {
        networks.parse::<TrustedProxies>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn network_contains_exactly_its_addresses() {
        for (networks, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.128/25", "192.0.2.200", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("127.0.0.1, 10.0.0.0/8", "10.1.2.3", "127.0.0.2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
        ] {
            assert!(contains(networks, inside), "{inside} is in {networks}");
            assert!(!contains(networks, outside), "{outside} isn't in {networks}");
        }
        assert!(!contains("", "127.0.0.1"), "no proxy is trusted by default");
        assert!(contains("::/0", "2001:db8::1"));
    }

    #[test]
    fn invalid_networks_are_rejected() {
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "proxy.example", "10.0.0.0/8/8", "10.0.0.1:80"]
        {
            assert!(wrong.parse::<TrustedProxies>().unwrap_err().contains("is not a network"), "{wrong}");
        }
        assert!("10.1.0.0/8".parse::<TrustedProxies>().unwrap_err().contains("first address"));
    }

    proptest! {
        #[test]
        fn network_contains_addresses_with_its_prefix(base: u32, other: u32, bits in 0..=32u32) {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = std::net::Ipv4Addr::from_bits(base & mask);
            let networks: TrustedProxies = format!("{first}/{bits}").parse().unwrap();
            let address = std::net::Ipv4Addr::from_bits(other);
            prop_assert_eq!(networks.contains(address.into()), other & mask == base & mask);
            prop_assert_eq!(networks.contains(address.to_ipv6_mapped().into()), other & mask == base & mask);
        }
    }
}
