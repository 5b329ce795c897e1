//! The limit of open files, which must allow for the connections.

use anyhow::{Context as _, bail};
use rustix::process::{Resource, getrlimit, setrlimit};

/// File descriptors reserved for everything but the clients' connections.
const DESCRIPTORS_RESERVED: u64 = 64;

/// Raises the limit of open files to the hard limit.
///
/// # Errors
/// If the raised limit is still too low for this number of clients.
pub(super) fn raise_limit(clients: u32) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files can't be raised")?;
    check(clients, getrlimit(Resource::Nofile).current)
}

/// Whether the limit is high enough for this number of clients; `None` means no limit.
fn check(clients: u32, descriptors: Option<u64>) -> anyhow::Result<()> {
    let needed = u64::from(clients) + DESCRIPTORS_RESERVED;
    match descriptors {
        Some(limit) if limit < needed => bail!(
            "{clients} clients need {needed} open files, and this process may have {limit}: \
             use --clients {} at most, or raise the hard limit (`ulimit -Hn`)",
            limit.saturating_sub(DESCRIPTORS_RESERVED)
        ),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_clients_are_refused_with_the_numbers() {
        assert!(check(936, Some(1_000)).is_ok());
        assert!(check(u32::MAX, None).is_ok());
        let refused = check(937, Some(1_000)).unwrap_err().to_string();
        assert!(refused.contains("937 clients need 1001") && refused.contains("--clients 936"), "{refused}");
    }
}
