//! Receipts: proof for a ballot's sender that this server accepted it, and the key to what became of it.
//!
//! A receipt contains the poll's number, the ballot's key and the time of its arrival, signed together with the ballot's id. It
//! says nothing about the choices. No node keeps state for it. Every accepted ballot has one, so making it has to be cheap: what is
//! signed fits in one block of SHA-256.

use super::hex;
use crate::config::DerivedKey;
use throng_domain::ballot::{Ballot, BallotId, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;

/// The length of a receipt's text, up to a poll with the number 999,999.
const TEXT_CHARS: usize = 6 + 13 + 2 * 32 + 3;

/// What an HMAC under the key is for.
const SIGNATURE: u8 = 1;
const WITHDRAWAL: u8 = 2;

/// The key with which receipts are signed.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptKey<'a>(pub &'a DerivedKey);

/// A ballot that was accepted, as its receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The poll.
    pub poll: PollId,
    /// Its key; where the poll identifies voters, the voter's, with slot 0.
    pub key: BallotKey,
    /// Its id.
    pub ballot_id: BallotId,
    /// When it arrived.
    pub accepted_at: Timestamp,
}

impl Receipt {
    /// Of this ballot, once it is accepted.
    pub fn of(ballot: &Ballot) -> Self {
        let Ballot { poll, key, id, accepted_at, .. } = *ballot;
        Self { poll, key, ballot_id: id, accepted_at }
    }

    /// As text: the poll and the time in decimal digits, the key and the first 128 bits of an HMAC-SHA256 in 32 hexadecimal
    /// digits each, with dashes between them.
    pub fn text(&self, key: ReceiptKey<'_>) -> String {
        let mut text = String::with_capacity(TEXT_CHARS);
        let (mut poll, mut accepted_at) = (itoa::Buffer::new(), itoa::Buffer::new());
        let own = hex::digits(u128::from_be_bytes(self.key.0));
        let mac = hex::digits(key.0.mac(self.signed(SIGNATURE)));
        let numbers = [poll.format(self.poll.0), "-", accepted_at.format(self.accepted_at.0), "-"];
        for part in numbers.into_iter().chain([hex::as_text(&own), "-", hex::as_text(&mac)]) {
            text.push_str(part);
        }
        text
    }

    /// The receipt with this text for the ballot with this id; `None` if it isn't one.
    pub fn verified(key: ReceiptKey<'_>, text: &str, ballot_id: BallotId) -> Option<Self> {
        let mut parts = text.split('-');
        let (poll, accepted_at) = (PollId(parts.next()?.parse().ok()?), Timestamp(parts.next()?.parse().ok()?));
        let mut digits = || u128::from_str_radix(parts.next()?, 16).ok();
        let (own, mac) = (BallotKey(digits()?.to_be_bytes()), digits()?);
        let receipt = Self { poll, key: own, ballot_id, accepted_at };
        // There is one way to write a receipt.
        (key.0.verifies(receipt.signed(SIGNATURE), mac) && receipt.text(key) == text).then_some(receipt)
    }

    /// The id of the ballot that withdraws this one: always the same, so that a withdrawal sent again is the same.
    pub fn withdrawal_id(&self, key: ReceiptKey<'_>) -> BallotId {
        let mac = key.0.mac(self.signed(WITHDRAWAL));
        BallotId(uuid::Builder::from_random_bytes(mac.to_be_bytes()).into_uuid())
    }

    /// The bytes of which an HMAC is made for this purpose: all of the receipt, each part of a fixed length.
    fn signed(&self, purpose: u8) -> [u8; 49] {
        let mut signed = [purpose; 49];
        signed[1..9].copy_from_slice(&self.poll.0.to_be_bytes());
        signed[9..17].copy_from_slice(&self.accepted_at.0.to_be_bytes());
        signed[17..33].copy_from_slice(&self.key.0);
        signed[33..].copy_from_slice(self.ballot_id.0.as_bytes());
        signed
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn receipt() -> Receipt {
        let ballot_id = BallotId(Uuid::from_u128(7));
        Receipt { poll: PollId(1), key: BallotKey([9; 16]), ballot_id, accepted_at: Timestamp(1_800_000_000_000) }
    }

    #[test]
    fn receipt_is_verified_on_any_node_with_the_secret() {
        let (key, other_node) = (DerivedKey::new([7; 32]), DerivedKey::new([7; 32]));
        let text = receipt().text(ReceiptKey(&key));
        assert_eq!(Receipt::verified(ReceiptKey(&other_node), &text, receipt().ballot_id), Some(receipt()));
        assert_eq!(receipt().withdrawal_id(ReceiptKey(&key)), receipt().withdrawal_id(ReceiptKey(&other_node)));
    }

    #[test]
    fn forged_receipt_is_none() {
        let key = DerivedKey::new([7; 32]);
        let key = ReceiptKey(&key);
        let (text, id) = (receipt().text(key), receipt().ballot_id);
        assert_eq!(Receipt::verified(key, &text, BallotId(Uuid::from_u128(8))), None);
        assert_eq!(Receipt::verified(ReceiptKey(&DerivedKey::new([8; 32])), &text, id), None);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.as_bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&flipped);
            assert_eq!(Receipt::verified(key, &flipped, id), None, "{flipped}");
        }
        for made_up in ["", "-", "---", "1-1-1-1", &format!("{text}-"), &format!("0{text}"), &format!("+{text}")] {
            assert_eq!(Receipt::verified(key, made_up, id), None, "{made_up}");
        }
    }
}
