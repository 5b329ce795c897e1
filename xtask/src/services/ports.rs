//! Ports for servers that may be down for a moment and must find their port free again.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// From here ports are tried, below those that systems give to outgoing connections.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// How many each server gets.
pub const EACH: usize = 3;

/// Ports for so many servers, all free a moment ago.
///
/// # Errors
/// If there aren't enough.
pub fn free(servers: usize) -> anyhow::Result<Vec<[u16; EACH]>> {
    // Runs at the same time begin at different places.
    let start = std::process::id().wrapping_mul(64) % COUNT;
    let mut candidates =
        (0..COUNT).map(|step| FIRST + (start + step) % COUNT).filter_map(|port| u16::try_from(port).ok());
    let mut free = || candidates.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let mut set = || Some([free()?, free()?, free()?]);
    (0..servers).map(|_| set().context("too few ports are free")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = free(4).unwrap().concat();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4 * EACH);
    }
}
