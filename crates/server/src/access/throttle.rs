//! Limits how many invalid tokens a network may send.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use throng_domain::clock::Timestamp;

use super::error::AccessError;

/// How many invalid tokens a network may send within [`WINDOW_MS`].
pub(super) const FAILED_MAX: u32 = 30;

/// The time for which they are counted, from the first one on, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The most networks whose attempts are counted. While there are so many, others aren't limited: whoever has so many networks must
/// not lock everybody else out, and a secret of 256 bits isn't guessed.
const NETWORKS_MAX: usize = 10_000;

/// The attempts of each network that has sent an invalid token lately, or has sent one that is being looked up.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<u128, Attempts>>);

#[derive(Debug)]
struct Attempts {
    since: Timestamp,
    failed: u32,
}

/// An attempt, which has failed unless it is undone.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    network: u128,
}

impl Throttle {
    /// Counts an attempt of this network.
    ///
    /// # Errors
    /// [`AccessError::Throttled`].
    pub(super) fn begin(&self, network: u128, now: Timestamp) -> Result<Attempt<'_>, AccessError> {
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |attempts: &Attempts| now >= attempts.since.plus_ms(WINDOW_MS) || now < attempts.since;
        if networks.len() >= NETWORKS_MAX && !networks.contains_key(&network) {
            networks.retain(|_, attempts| !is_over(attempts));
        }
        let has_room = networks.len() < NETWORKS_MAX;
        match networks.get_mut(&network) {
            Some(attempts) if is_over(attempts) => *attempts = Attempts { since: now, failed: 1 },
            Some(attempts) if attempts.failed >= FAILED_MAX => {
                let left_ms = attempts.since.plus_ms(WINDOW_MS).0 - now.0;
                let retry_after_s = u32::try_from(left_ms.div_euclid(1_000) + 1).unwrap_or(u32::MAX).min(60);
                return Err(AccessError::Throttled { retry_after_s });
            }
            Some(attempts) => attempts.failed += 1,
            None if has_room => drop(networks.insert(network, Attempts { since: now, failed: 1 })),
            None => {}
        }
        Ok(Attempt { throttle: self, network })
    }
}

impl Attempt<'_> {
    /// It hasn't failed.
    pub(super) fn undo(self) {
        let mut networks = self.throttle.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempts) = networks.get_mut(&self.network) {
            attempts.failed = attempts.failed.saturating_sub(1);
            if attempts.failed == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_bounded_and_forgotten() {
        let throttle = Throttle::default();
        let begin = |network, at| throttle.begin(network, Timestamp(at)).is_ok();
        assert!((0..2 * NETWORKS_MAX as u128).all(|network| begin(network, 0)));
        assert_eq!(throttle.0.lock().unwrap().len(), NETWORKS_MAX);
        assert!((1..FAILED_MAX).all(|_| begin(7, 0)) && !begin(7, 0), "one that is known");
        assert!((0..2 * FAILED_MAX).all(|_| begin(u128::MAX, 0)), "one that there is no room for");
        assert!(begin(u128::MAX, WINDOW_MS) && begin(7, WINDOW_MS));
        assert_eq!(throttle.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn attempts_that_succeed_are_not_counted() {
        let throttle = Throttle::default();
        for _ in 0..10 * FAILED_MAX {
            throttle.begin(1, Timestamp(0)).unwrap().undo();
        }
        assert!(throttle.0.lock().unwrap().is_empty());
    }
}
