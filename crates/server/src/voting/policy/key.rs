//! The key under which voters' pseudonyms and tokens are made.

use std::fmt::{self, Write as _};

use throng_domain::ballot::VoterKey;
use throng_domain::poll::PollId;

use crate::config::DerivedKey;

/// The length of most texts: those of devices and networks.
const TEXT_CHARS: usize = 80;

/// The key under which voters' pseudonyms and tokens are made. With another one, everybody is a new voter.
#[derive(Clone, Copy, Debug)]
pub struct PolicyKey<'a>(pub &'a DerivedKey);

impl PolicyKey<'_> {
    /// The pseudonym in `poll` of what is identified so.
    pub(super) fn voter(self, purpose: &str, poll: PollId, identity: impl fmt::Display) -> VoterKey {
        let mac = self.mac(purpose, poll, identity).to_be_bytes();
        VoterKey(*mac.first_chunk().expect("16 bytes begin with 15"))
    }

    /// The first 128 bits of the HMAC.
    pub(super) fn mac(self, purpose: &str, poll: PollId, identity: impl fmt::Display) -> u128 {
        self.0.mac(text(purpose, poll, identity))
    }

    /// Whether `mac` is the one of [`Self::mac`]; compared in constant time.
    pub(super) fn verifies(self, purpose: &str, poll: PollId, identity: impl fmt::Display, mac: u128) -> bool {
        self.0.verifies(text(purpose, poll, identity), mac)
    }
}

fn text(purpose: &str, poll: PollId, identity: impl fmt::Display) -> String {
    let mut text = String::with_capacity(TEXT_CHARS);
    write!(text, "{purpose} {} {identity}", poll.0).expect("writing to a String can't fail");
    text
}
