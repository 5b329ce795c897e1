//! Ids for ballots that were sent without one.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use throng_domain::ballot::BallotId;
use throng_domain::clock::Timestamp;
use uuid::Uuid;

/// Generates ballot ids of UUID version 7 (RFC 9562): in time order, and ascending within a millisecond, so that the
/// ballots' index grows at its end. 62 of their bits are random, so ids from other generators and nodes don't collide, and nobody
/// can tell one from those before it: a voter without a token is who knows the id of the first ballot.
#[derive(Debug)]
pub struct BallotIds {
    random: StdRng,
    last: u64,
}

impl BallotIds {
    /// A generator whose random bits come from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { random: StdRng::from_seed(seed), last: 0 }
    }

    /// The next id, at the time `now`. The millisecond and a counter of 12 bits (the RFC's method 1) form one number that only
    /// increases: ids for which the counter has no room use the next millisecond, and a clock that was set back is ignored.
    pub fn next(&mut self, now: Timestamp) -> BallotId {
        let millisecond = u64::try_from(now.0).unwrap_or(0) & 0xffff_ffff_ffff;
        self.last = (self.last + 1).max(millisecond << 12);
        let (millisecond, counter) = (self.last >> 12, self.last & 0xfff);
        let high = (millisecond << 16) | 0x7000 | counter;
        let low = (self.random.next_u64() >> 2) | (0b10 << 62);
        BallotId(Uuid::from_u64_pair(high, low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_contain_their_time() {
        let mut ids = BallotIds::new([1; 32]);
        let now = Timestamp(1_800_000_000_000);
        let made: Vec<_> = (0..10_000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        let first = made[0].0;
        assert_eq!((first.get_version_num(), first.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(first.as_u64_pair().0 >> 16, 1_800_000_000_000);
        assert!(made.last().unwrap() < &ids.next(now.plus_ms(10)));
        assert!(ids.next(now.plus_ms(-5_000)) > *made.last().unwrap());
    }
}
