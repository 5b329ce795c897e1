//! The policy `device`: a voter is who has the same token, which a browser keeps as a cookie.
//!
//! The token contains the device's id in one poll, and is signed, so that no node keeps state. Nobody has one before the first
//! vote. The id of a device without one is made of its ballot's id: a first vote that is sent again after a lost response is
//! of the same device, and counts once.

use subtle::ConstantTimeEq as _;
use throng_domain::ballot::{BallotId, VoterKey};
use throng_domain::poll::PollId;
use uuid::Uuid;

use super::super::hex;
use super::key::{PolicyKey, start};

/// The digits of an id, and of its signature.
const DIGITS: usize = 32;

/// A device that votes in one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    id: u128,
    signature: [u8; 16],
    voter: VoterKey,
}

/// What a device sends to be recognized in one poll: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceToken(String);

impl Device {
    /// The device whose token this is; `None` if it isn't one of this poll.
    pub fn of_token(key: PolicyKey<'_>, poll: PollId, token: &str) -> Option<Self> {
        // One device has one token: there is no other way to write it.
        let is_hexadecimal = token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if token.len() != 2 * DIGITS || !is_hexadecimal {
            return None;
        }
        let (id, signature) = token.split_at(DIGITS);
        let device = Self::with_id(key, poll, u128::from_str_radix(id, 16).ok()?);
        let signature = u128::from_str_radix(signature, 16).ok()?.to_be_bytes();
        bool::from(device.signature.ct_eq(&signature)).then_some(device)
    }

    /// The device that sent this ballot as its first one.
    pub fn of_ballot(key: PolicyKey<'_>, poll: PollId, id: BallotId) -> Self {
        let id = key.mac("device of ballot", poll, id.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        Self::with_id(key, poll, u128::from_be_bytes(start(&id)))
    }

    /// One HMAC is both the signature and the pseudonym: neither says anything about the other.
    fn with_id(key: PolicyKey<'_>, poll: PollId, id: u128) -> Self {
        let mac = key.mac("device", poll, hex::as_text(&hex::digits(id)));
        let (signature, voter) = mac.split_at(16);
        Self { id, signature: start(signature), voter: VoterKey(start(voter)) }
    }

    /// Its token.
    pub fn token(self) -> DeviceToken {
        let (id, signature) = (hex::digits(self.id), hex::digits(u128::from_be_bytes(self.signature)));
        DeviceToken([hex::as_text(&id), hex::as_text(&signature)].concat())
    }

    /// Its pseudonym.
    pub fn voter(self) -> VoterKey {
        self.voter
    }
}

impl DeviceToken {
    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::DerivedKey;

    const POLL: PollId = PollId(1);

    fn ballot_id(number: u128) -> BallotId {
        BallotId(Uuid::from_u128(number))
    }

    #[test]
    fn token_is_verified_on_any_node_with_the_secret() {
        let (key, other_node) = (DerivedKey::new([7; 32]), DerivedKey::new([7; 32]));
        let device = Device::of_ballot(PolicyKey(&key), POLL, ballot_id(1));
        let found = Device::of_token(PolicyKey(&other_node), POLL, device.token().as_str());
        assert_eq!((found, found.map(Device::voter)), (Some(device), Some(device.voter())));
    }

    #[test]
    fn device_without_a_token_is_the_same_for_the_same_ballot() {
        let key = DerivedKey::new([7; 32]);
        let device = |poll, id| Device::of_ballot(PolicyKey(&key), poll, ballot_id(id));
        assert_eq!(device(POLL, 1), device(POLL, 1));
        assert_ne!(device(POLL, 1), device(POLL, 2));
        assert_ne!(device(POLL, 1), device(PollId(2), 1));
    }

    /// Exports name voters by their pseudonyms: with one, nobody can make the token.
    #[test]
    fn pseudonym_contains_nothing_of_the_token() {
        let key = DerivedKey::new([7; 32]);
        let device = Device::of_ballot(PolicyKey(&key), POLL, ballot_id(1));
        let (pseudonym, token) = (device.voter().to_string(), device.token());
        for part in pseudonym.as_bytes().windows(8) {
            assert!(!token.as_str().contains(str::from_utf8(part).unwrap()), "{pseudonym}, {token:?}");
        }
    }

    /// S4: a token that was made up, is another poll's, or has one bit flipped.
    #[test]
    fn token_that_was_not_signed_for_the_poll_is_none() {
        let key = DerivedKey::new([7; 32]);
        let key = PolicyKey(&key);
        let token = Device::of_ballot(key, POLL, ballot_id(1)).token();
        let token = token.as_str();
        assert_eq!(Device::of_token(key, PollId(2), token), None);
        assert_eq!(Device::of_token(PolicyKey(&DerivedKey::new([8; 32])), POLL, token), None);
        for bit in 0..token.len() * 8 {
            let mut flipped = token.as_bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&flipped);
            assert_eq!(Device::of_token(key, POLL, &flipped), None, "{flipped}");
        }
        let zeros = "0".repeat(64);
        for made_up in ["", "x", &token[..63], &format!("{token}0"), &zeros, &token.to_uppercase(), &"é".repeat(32)] {
            assert_eq!(Device::of_token(key, POLL, made_up), None, "{made_up}");
        }
    }
}
