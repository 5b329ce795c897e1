//! The policy `code`: a voter is who has the same invitation code.

use throng_domain::ballot::VoterKey;
use throng_domain::code::Code;
use throng_domain::poll::PollId;

use super::key::PolicyKey;

/// The pseudonym of who votes with this code: all that is stored of a code, too.
pub fn code_voter(key: PolicyKey<'_>, poll: PollId, code: Code) -> VoterKey {
    key.voter("code voter", poll, &code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DerivedKey;

    #[test]
    fn pseudonym_is_of_one_code_in_one_poll() {
        let (key, other) = (DerivedKey::new([7; 32]), DerivedKey::new([8; 32]));
        let voter = |key, poll, code: &str| code_voter(PolicyKey(key), PollId(poll), code.parse().unwrap());
        let own = voter(&key, 1, "0123-4567-89AB-CDEF");
        assert_eq!(own, voter(&key, 1, "ol23 4567 89ab cdef"));
        assert_ne!(own, voter(&key, 1, "0123-4567-89AB-CDEG"));
        assert_ne!(own, voter(&key, 2, "0123-4567-89AB-CDEF"));
        assert_ne!(own, voter(&other, 1, "0123-4567-89AB-CDEF"));
    }
}
