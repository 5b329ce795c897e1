//! The key under which voters' pseudonyms and tokens are made.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use throng_domain::ballot::VoterKey;
use throng_domain::poll::PollId;

use crate::config::DerivedKey;

/// The key under which voters' pseudonyms and tokens are made. With another one, everybody is a new voter.
#[derive(Clone, Copy, Debug)]
pub struct PolicyKey<'a>(pub &'a DerivedKey);

impl PolicyKey<'_> {
    /// The pseudonym in `poll` of what is identified so.
    pub(super) fn voter(self, purpose: &str, poll: PollId, identity: impl fmt::Display) -> VoterKey {
        let mac: [u8; 32] = self.hmac(purpose, poll, identity).finalize().into_bytes().into();
        VoterKey(*mac.first_chunk().expect("32 bytes begin with 15"))
    }

    /// The first 128 bits of the HMAC.
    pub(super) fn mac(self, purpose: &str, poll: PollId, identity: impl fmt::Display) -> u128 {
        let mac: [u8; 32] = self.hmac(purpose, poll, identity).finalize().into_bytes().into();
        u128::from_be_bytes(*mac.first_chunk().expect("32 bytes begin with 16"))
    }

    /// Whether `mac` is the one of [`Self::mac`]; compared in constant time.
    pub(super) fn verifies(self, purpose: &str, poll: PollId, identity: impl fmt::Display, mac: u128) -> bool {
        self.hmac(purpose, poll, identity).verify_truncated_left(&mac.to_be_bytes()).is_ok()
    }

    fn hmac(self, purpose: &str, poll: PollId, identity: impl fmt::Display) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0.0).expect("HMAC takes keys of any length");
        hmac.update(format!("{purpose} {} {identity}", poll.0).as_bytes());
        hmac
    }
}
