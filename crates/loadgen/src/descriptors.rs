//! The limit of open files, which must allow for the connections.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::error::LoadError;

/// File descriptors reserved for everything but the clients' connections.
const DESCRIPTORS_RESERVED: u64 = 64;

/// Raises the limit of open files to the hard limit.
///
/// # Errors
/// If the raised limit is still too low for this number of clients.
pub(crate) fn raise_limit(clients: u32) -> Result<(), LoadError> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|errno| LoadError::RaiseLimit(io::Error::from(errno)))?;
    check(clients, getrlimit(Resource::Nofile).current)
}

/// Whether the limit is high enough for this number of clients; `None` means no limit.
fn check(clients: u32, descriptors: Option<u64>) -> Result<(), LoadError> {
    let needed = u64::from(clients) + DESCRIPTORS_RESERVED;
    match descriptors {
        Some(limit) if limit < needed => {
            let clients_max = limit.saturating_sub(DESCRIPTORS_RESERVED);
            Err(LoadError::TooManyClients { clients, needed, limit, clients_max })
        }
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
        let refused = check(937, Some(1_000)).unwrap_err();
        assert!(matches!(refused, LoadError::TooManyClients { clients_max: 936, .. }), "{refused:?}");
        assert!(refused.to_string().contains("937 clients need 1001"), "{refused}");
    }
}
