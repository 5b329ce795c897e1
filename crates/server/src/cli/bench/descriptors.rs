//! Room for the connections.

use anyhow::{Context as _, bail};
use rustix::process::{Resource, getrlimit, setrlimit};

/// File descriptors kept for everything that is no client's connection.
const DESCRIPTORS_KEPT: u64 = 64;

/// Raises the limit of open files as far as it may be raised.
///
/// # Errors
/// If so many clients don't fit even then.
pub(super) fn make_room(clients: u32) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files can't be raised")?;
    check(clients, getrlimit(Resource::Nofile).current)
}

/// Whether so many clients fit; no limit means that they do.
fn check(clients: u32, descriptors: Option<u64>) -> anyhow::Result<()> {
    let needed = u64::from(clients) + DESCRIPTORS_KEPT;
    match descriptors {
        Some(limit) if limit < needed => bail!(
            "{clients} clients need {needed} open files, and this process may have {limit}: \
             ask for --clients {} at most, or raise the hard limit (`ulimit -Hn`)",
            limit.saturating_sub(DESCRIPTORS_KEPT)
        ),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers() {
        assert!(check(936, Some(1_000)).is_ok());
        assert!(check(u32::MAX, None).is_ok());
        let refused = check(937, Some(1_000)).unwrap_err().to_string();
        assert!(refused.contains("937 clients need 1001") && refused.contains("--clients 936"), "{refused}");
    }
}
