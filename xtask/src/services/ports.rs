//! Ports for servers that may be down briefly and need the same port when they start again.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// The first port that is tried; the range is below the ports that systems use for outgoing connections.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Ports per server.
pub const PER_SERVER: usize = 3;

/// Ports for this number of servers, all of which were free when checked.
///
/// # Errors
/// If there aren't enough.
pub fn free(servers: usize) -> anyhow::Result<Vec<[u16; PER_SERVER]>> {
    // Concurrent runs start at different ports.
    let start = std::process::id().wrapping_mul(64) % COUNT;
    let mut candidates =
        (0..COUNT).map(|step| FIRST + (start + step) % COUNT).filter_map(|port| u16::try_from(port).ok());
    let mut free = || candidates.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let mut set = || Some([free()?, free()?, free()?]);
    (0..servers).map(|_| set().context("too few free ports")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct() {
        let mut ports = free(4).unwrap().concat();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4 * PER_SERVER);
    }
}
