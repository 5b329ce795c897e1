//! The URL of a cache.

use std::fmt;
use std::str::FromStr;

/// memcached's default port.
const PORT: u16 = 11211;

/// A cache, with all that is needed to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUrl {
    /// memcached 1.6 or later, on these hosts (`host:port`): each key is on one of them.
    Memcached(Vec<String>),
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memcached(hosts) => write!(f, "memcached://{}", hosts.join(",")),
        }
    }
}

impl FromStr for CacheUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err("write it as a URL, such as memcached://127.0.0.1:11211".to_owned());
        };
        match scheme {
            // It may be a password, so it isn't repeated.
            "memcached" if rest.contains('@') => Err("memcached:// takes no user and no password".to_owned()),
            "memcached" => rest.split(',').map(host).collect::<Result<_, _>>().map(Self::Memcached),
            other => {
                Err(format!("`{other}://` isn't a cache that this version of Throng supports; use memcached://HOST"))
            }
        }
    }
}

/// One `host` or `host:port`, always returned with a port.
fn host(text: &str) -> Result<String, String> {
    let fault = || format!("`{text}` isn't a host and port, such as 127.0.0.1:{PORT} or [::1]:{PORT}");
    // The colons of an IPv6 address are in brackets.
    let address_end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let (name, port) = match text[address_end..].rsplit_once(':') {
        Some((rest, port)) => (&text[..address_end + rest.len()], port.parse().map_err(|_| fault())?),
        None => (text, PORT),
    };
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_valid = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && plain(name),
    };
    (is_valid && port != 0).then(|| format!("{name}:{port}")).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_given_with_or_without_a_port() {
        for (url, hosts) in [
            ("memcached://cache", &["cache:11211"][..]),
            ("memcached://127.0.0.1:1,b.example:2", &["127.0.0.1:1", "b.example:2"]),
            ("memcached://[::1],[::1]:5", &["[::1]:11211", "[::1]:5"]),
        ] {
            let expected = CacheUrl::Memcached(hosts.iter().map(|host| (*host).to_owned()).collect());
            assert_eq!(url.parse(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn invalid_hosts_are_rejected_with_an_example() {
        for url in [
            "127.0.0.1:11211",
            "redis://host",
            "memcached://",
            "memcached://a,,b",
            "memcached://a:0",
            "memcached://a:port",
            "memcached://a:65536",
            "memcached://::1",
            "memcached://[::1",
            "memcached://]:5",
            "memcached://a/b",
            "memcached://user:password@a",
        ] {
            let fault = url.parse::<CacheUrl>().unwrap_err();
            assert!(fault.contains("such as") || fault.contains("memcached://"), "{url}: {fault}");
            assert!(!fault.contains("password@"), "{fault}");
        }
    }
}
