//! Passes for load runs: what lets a rehearsal take a ballot.
//!
//! A pass is `<expires>.<mac>`: the Unix time at which it expires, in seconds, and the first 128 bits of an HMAC-SHA256 of the poll
//! and that time, as 32 hexadecimal digits. Nothing is stored of it, and no other poll looks at one.

use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollId};

use crate::config::DerivedKey;

/// The longest time for which a pass is valid, in milliseconds: 7 days.
pub const PASS_LIFETIME_MAX_MS: i64 = 7 * 24 * 3_600_000;

/// The key with which passes are signed.
#[derive(Clone, Copy, Debug)]
pub struct RehearsalKey<'a>(pub &'a DerivedKey);

/// A pass that was verified: only [`RehearsalKey::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RehearsalPass(PollId);

impl RehearsalPass {
    /// Whether it is for this poll.
    pub fn is_for(self, poll: &Poll) -> bool {
        poll.rehearsal && self.0 == poll.id
    }
}

impl RehearsalKey<'_> {
    /// The text of a pass for a poll, valid until this time, whose seconds count.
    pub fn pass(self, poll: PollId, expires_at: Timestamp) -> String {
        let expires_s = expires_at.0.div_euclid(1_000);
        format!("{expires_s}.{:032x}", self.0.mac(signed_text(poll, expires_s)))
    }

    /// The pass in this text, if it is for this poll, which is a rehearsal, and hasn't expired at `now`.
    pub fn verify(self, poll: &Poll, text: &str, now: Timestamp) -> Option<RehearsalPass> {
        let (expires, mac) = text.split_once('.')?;
        let (expires_s, mac): (i64, _) = (expires.parse().ok()?, u128::from_str_radix(mac, 16).ok()?);
        let is_valid = now.0.div_euclid(1_000) < expires_s && self.0.verifies(signed_text(poll.id, expires_s), mac);
        (poll.rehearsal && is_valid).then_some(RehearsalPass(poll.id))
    }
}

/// What the HMAC of a pass is of.
fn signed_text(poll: PollId, expires_s: i64) -> String {
    format!("rehearsal pass {} {expires_s}", poll.0)
}

#[cfg(test)]
mod tests {
    use throng_domain::new_poll::NewPoll;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_500);

    fn poll(id: i64, rehearsal: bool) -> Poll {
        let new = NewPoll { rehearsal, ..NewPoll::demo("demo".parse().unwrap(), Timestamp(0)) };
        new.into_poll(PollId(id))
    }

    #[test]
    fn pass_is_for_one_rehearsal_and_some_time() {
        let (key, other) = (DerivedKey::new([1; 32]), DerivedKey::new([2; 32]));
        let key = RehearsalKey(&key);
        let pass = key.pass(PollId(7), NOW.plus_ms(1_000));
        let rehearsal = poll(7, true);
        assert!(key.verify(&rehearsal, &pass, NOW).is_some_and(|pass| pass.is_for(&rehearsal)));
        assert!(!key.verify(&rehearsal, &pass, NOW).unwrap().is_for(&poll(8, true)));
        assert_eq!(key.verify(&rehearsal, &pass, NOW.plus_ms(1_000)), None, "it has expired");
        assert_eq!(key.verify(&poll(8, true), &pass, NOW), None, "it is for another one");
        assert_eq!(key.verify(&poll(7, false), &pass, NOW), None, "voters vote there");
        assert_eq!(RehearsalKey(&other).verify(&rehearsal, &pass, NOW), None, "others signed it");
        let later = pass.replacen("1800000001", "1800000002", 1);
        for wrong in [later.as_str(), "", ".", "1800000001", "1800000001.", "x.0", &format!("{pass}0")] {
            assert_eq!(key.verify(&rehearsal, wrong, NOW), None, "{wrong}");
        }
    }
}
