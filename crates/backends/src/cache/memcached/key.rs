//! The keys of results and leases.

use sha2::{Digest, Sha256};
use throng_domain::poll::PollId;

/// Separates the keys of systems that share nothing but a memcached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace that belongs to `identity`, a text that all nodes of one system have in common and no other system
    /// has. It can't be derived from the keys.
    pub fn of(identity: &str) -> Self {
        let hash = Sha256::digest(identity.as_bytes());
        Self(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The key of the poll's result. Keys consist of letters, digits, `:` and `-`, whatever the poll is called.
    pub fn result_key(&self, poll: PollId) -> String {
        format!("throng:{}:result:{}", self.0, poll.0)
    }

    /// The key of the poll's lease.
    pub fn lease_key(&self, poll: PollId) -> String {
        format!("throng:{}:lease:{}", self.0, poll.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S26.
    #[test]
    fn keys_have_a_fixed_alphabet_whatever_the_namespace() {
        let namespace = Namespace::of("mysql://a b\r\nset x 0 0 1\r\n");
        for key in [namespace.result_key(PollId(i64::MIN)), namespace.lease_key(PollId(7))] {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-".contains(&byte)), "{key}");
            assert!(key.len() < 250);
        }
        assert_ne!(namespace, Namespace::of("mysql://a"));
    }
}
