//! The policy `network`: a voter is who votes from the same network on the same day, in UTC.
//!
//! That day is a part of what the pseudonym is made of, so one that was found out says nothing about other days.

use std::net::IpAddr;

use throng_domain::ballot::VoterKey;
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;

use super::key::PolicyKey;
use crate::net::network;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The pseudonym of the network of `address`, for a ballot that arrived at this time.
pub fn voter(key: PolicyKey<'_>, poll: PollId, address: IpAddr, accepted_at: Timestamp) -> VoterKey {
    let day = accepted_at.0.div_euclid(DAY_MS);
    key.voter("network voter", poll, &format!("{day} {:032x}", network(address)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::DerivedKey;

    const NOON: Timestamp = Timestamp(4_102_444_800_000 + DAY_MS / 2);

    fn of(poll: i64, address: &str, at: Timestamp) -> VoterKey {
        voter(PolicyKey(&DerivedKey::new([7; 32])), PollId(poll), address.parse().unwrap(), at)
    }

    #[test]
    fn network_is_an_ipv4_address_or_a_64() {
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(of(1, one, NOON) == of(1, other, NOON), is_same, "{one} and {other}");
        }
    }

    /// S3: whoever has a /64 has 2⁶⁴ addresses, and is one voter.
    #[test]
    fn addresses_of_one_64_are_one_network() {
        let addresses = (0..10_000_u64).map(|host| {
            let host = host.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            std::net::Ipv6Addr::from_bits((0x2001_0db8_0000_0001_u128 << 64) | u128::from(host)).to_string()
        });
        assert_eq!(addresses.map(|address| of(1, &address, NOON)).collect::<HashSet<_>>().len(), 1);
    }

    #[test]
    fn pseudonym_is_for_one_poll_and_one_day() {
        let midnight = NOON.plus_ms(DAY_MS / 2);
        assert_eq!(of(1, "192.0.2.1", NOON), of(1, "192.0.2.1", midnight.plus_ms(-1)));
        assert_ne!(of(1, "192.0.2.1", NOON), of(1, "192.0.2.1", midnight));
        assert_ne!(of(1, "192.0.2.1", NOON), of(2, "192.0.2.1", NOON));
    }
}
