//! The address of a client behind proxies, from the headers that the proxies add.
//!
//! Each proxy appends the address of its peer to a list, and a client may have sent the beginning of that list itself. So the
//! list is read from its end, and an entry counts only if a trusted proxy wrote it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

use crate::config::TrustedProxies;

/// The header that nearly all proxies write.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The maximum number of hops that are read.
const HOPS_MAX: usize = 100;

/// The client's address for a request from `peer`: the nearest one that isn't a trusted proxy's. Where the entry that a
/// trusted proxy wrote can't be parsed, it is that proxy's own address.
///
/// `Forwarded` (RFC 7239) counts only where there is no `X-Forwarded-For`: of two lists, a client could write the one that its
/// proxy leaves unchanged. So a proxy that writes `Forwarded` has to drop an `X-Forwarded-For` received from a client.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    if headers.contains_key(X_FORWARDED_FOR) {
        nearest_untrusted(peer, parts_of(headers, &X_FORWARDED_FOR).map(address), trusted)
    } else {
        nearest_untrusted(peer, parts_of(headers, &FORWARDED).map(forwarded_for), trusted)
    }
}

fn nearest_untrusted(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies) -> IpAddr {
    let mut nearest = peer.to_canonical();
    for hop in hops.take(HOPS_MAX) {
        match hop {
            Some(hop) if trusted.contains(nearest) => nearest = hop,
            Some(_) | None => break,
        }
    }
    nearest
}

/// The parts of a header's list, the last one first.
fn parts_of<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a str> {
    // A value that isn't text is an invalid part.
    headers.get_all(name).iter().rev().flat_map(|list| parts(list.to_str().unwrap_or_default(), b','))
}

/// The parts of a list, the last one first; a separator in quotes doesn't separate. The list is parsed from its end, so that
/// the content of a part can't change how later parts are parsed.
fn parts(list: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let last = last_outside_quotes(list.as_bytes(), separator);
        rest = last.map(|at| &list[..at]);
        Some(list[last.map_or(0, |at| at + 1)..].trim())
    })
}

fn last_outside_quotes(list: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    (0..list.len()).rev().find(|&at| {
        if list[at] == b'"' {
            let escapes = list[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            quoted ^= escapes % 2 == 0;
        }
        list[at] == wanted && !quoted
    })
}

/// The `for` parameter of one part of a `Forwarded` header, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(part: &str) -> Option<IpAddr> {
    let pairs = parts(part, b';').filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    let (_, node) = nodes.next()?;
    let bare = node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node);
    if nodes.next().is_some() { None } else { address(bare) }
}

/// An address such as `192.0.2.1` or `2001:db8::1`, the latter optionally in brackets, and both optionally with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(|v6: Ipv6Addr| IpAddr::V6(v6));
    bare().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TRUSTED: &str = "10.0.0.0/8, ::1";

    /// The client of a request from `peer` with these headers, one `name: value` per line.
    fn client(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &TRUSTED.parse().unwrap()).to_string()
    }

    #[test]
    fn nearest_untrusted_hop_is_the_client() {
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
            (&["x-forwarded-for: 198.51.100.7, 192.0.2.1"], "192.0.2.1"),
            (&["x-forwarded-for: 198.51.100.7,192.0.2.1 , 10.9.9.9"], "192.0.2.1"),
            (&["x-forwarded-for: 198.51.100.7", "x-forwarded-for: 192.0.2.1, 10.9.9.9"], "192.0.2.1"),
            (&["x-forwarded-for: 10.0.0.2"], "10.0.0.2"),
            (&["x-forwarded-for: 192.0.2.1:4711"], "192.0.2.1"),
            (&["x-forwarded-for: 2001:db8::1"], "2001:db8::1"),
            (&["x-forwarded-for: [2001:db8::1]:4711, ::ffff:10.0.0.2"], "2001:db8::1"),
            (&["x-forwarded-for: ::ffff:192.0.2.1"], "192.0.2.1"),
            (&["forwarded: for=192.0.2.1"], "192.0.2.1"),
            (&["forwarded: for=198.51.100.7, FOR=192.0.2.1;proto=http;by=10.0.0.1"], "192.0.2.1"),
            (&["forwarded: for=\"[2001:db8::1]:4711\";host=\"a, for=198.51.100.7\""], "2001:db8::1"),
            (&["forwarded: for=198.51.100.7", "x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(client("::ffff:10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn unreadable_hop_yields_the_proxy_address() {
        for line in [
            "x-forwarded-for: unknown",
            "x-forwarded-for: ",
            "x-forwarded-for: 192.0.2.1,",
            "x-forwarded-for: 192.0.2.1, 10.0.0.1.2",
            "x-forwarded-for: \u{e4}",
            "forwarded: for=_hidden",
            "forwarded: proto=http",
            "forwarded: for=192.0.2.1;for=192.0.2.2",
            "forwarded: for=192.0.2.1;x=\"",
        ] {
            assert_eq!(client("10.0.0.1", &[line]), "10.0.0.1", "{line}");
        }
    }

    #[test]
    fn other_peers_and_headers_are_ignored() {
        for line in ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1", "x-forwarded-for: 10.0.0.1"] {
            assert_eq!(client("198.51.100.7", &[line]), "198.51.100.7");
        }
        let client_ip = ["client-ip: 192.0.2.1", "x-real-ip: 192.0.2.1"];
        assert_eq!(client("10.0.0.1", &client_ip), "10.0.0.1");
    }

    #[test]
    fn hops_are_limited_to_100() {
        let trusted = |count: usize| vec!["10.0.0.2"; count].join(", ");
        let line = |count| format!("x-forwarded-for: 192.0.2.1, {}", trusted(count));
        assert_eq!(client("10.0.0.1", &[&line(99)]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[&line(100)]), "10.0.0.2");
    }

    proptest! {
        /// Whatever a client sends at the start of the list, its address is the one that the first proxy received it from.
        #[test]
        fn client_cannot_choose_its_address(sent in "[ -~]{0,60}", lines in prop::bool::ANY, trusted in 0..5usize) {
            let hops = format!("192.0.2.1{}", ", 10.0.0.2".repeat(trusted));
            let resolved = if lines {
                client("10.0.0.1", &[&format!("x-forwarded-for: {sent}"), &format!("x-forwarded-for: {hops}")])
            } else {
                client("10.0.0.1", &[&format!("x-forwarded-for: {sent}, {hops}")])
            };
            prop_assert_eq!(resolved, "192.0.2.1");
            let nodes = format!("for=192.0.2.1{}", ", for=10.0.0.2".repeat(trusted));
            let resolved = client("10.0.0.1", &[&format!("forwarded: {sent}, {nodes}")]);
            prop_assert_eq!(resolved, "192.0.2.1");
        }

        #[test]
        fn untrusted_peer_is_the_client(line in "[ -~\u{e4}]{0,80}") {
            for name in ["x-forwarded-for", "forwarded"] {
                prop_assert_eq!(client("198.51.100.7", &[&format!("{name}: {line}")]), "198.51.100.7");
            }
        }
    }
}
