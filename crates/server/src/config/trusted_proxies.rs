//! The networks of the trusted proxies.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};

/// The bits before the IPv4 address in the IPv6 address that it maps to.
const MAPPED_PREFIX_BITS: u8 = 96;

/// The networks in which the trusted proxies are; empty unless configured. IPv4 networks are stored as the IPv6 networks they
/// map to, so that both forms of an address match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Ipv6Net>);

impl TrustedProxies {
    /// Whether `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = mapped(address);
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Networks such as `10.0.0.0/8` or `2001:db8::/32`, or single addresses, separated by commas.
impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let listed = text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(parse_network);
        listed.collect::<Result<_, _>>().map(Self)
    }
}

fn parse_network(text: &str) -> Result<Ipv6Net, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network: IpNet = network
        .map_err(|_| format!("`{text}` is not a network: write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1"))?;
    if network.trunc() != network {
        return Err(format!("`{text}` has bits set after its prefix; write the network's first address"));
    }
    let own_prefix_bits = if network.addr().is_ipv4() { MAPPED_PREFIX_BITS } else { 0 };
    Ok(Ipv6Net::new_assert(mapped(network.addr()), own_prefix_bits + network.prefix_len()))
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
