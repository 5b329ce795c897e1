//! The key under which voters' pseudonyms and tokens are made.

use throng_domain::ballot::VoterKey;
use throng_domain::poll::PollId;

use crate::config::DerivedKey;

/// The key under which voters' pseudonyms and tokens are made. With another one, everybody is a new voter.
#[derive(Clone, Copy, Debug)]
pub struct PolicyKey<'a>(pub &'a DerivedKey);

impl PolicyKey<'_> {
    /// The pseudonym in `poll` of what is identified so.
    pub(super) fn voter(self, purpose: &str, poll: PollId, identity: &str) -> VoterKey {
        VoterKey(start(&self.mac(purpose, poll, identity)))
    }

    /// The HMAC of the text in the table of [`policy`](super).
    pub(super) fn mac(self, purpose: &str, poll: PollId, identity: &str) -> [u8; 32] {
        self.0.mac_of_parts([purpose, " ", itoa::Buffer::new().format(poll.0), " ", identity])
    }
}

/// The first bytes of an HMAC, or of a part of one.
pub(super) fn start<const BYTES: usize>(mac: &[u8]) -> [u8; BYTES] {
    *mac.first_chunk().expect("no part that is used is longer than the HMAC")
}
