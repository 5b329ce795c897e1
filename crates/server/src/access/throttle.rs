//! Limits how many invalid tokens a network may send.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use throng_domain::clock::Timestamp;

use super::error::AccessError;

/// How many invalid tokens a network may send within [`WINDOW_MS`].
pub(super) const FAILED_MAX: u32 = 30;

/// The time for which they are counted, from the first one on, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The most networks whose attempts are counted. While there are so many, others aren't limited: whoever has so many networks must
/// not lock everybody else out, and a secret of 256 bits isn't guessed.
const NETWORKS_MAX: usize = 10_000;

/// The networks that have sent an invalid token lately.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<u128, Failures>>);

#[derive(Debug)]
struct Failures {
    since: Timestamp,
    count: u32,
}

impl Failures {
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.since.plus_ms(WINDOW_MS) || now < self.since
    }

    /// The error of a network that has sent too many.
    fn throttled(&self, now: Timestamp) -> Option<AccessError> {
        let left_ms = self.since.plus_ms(WINDOW_MS).0 - now.0;
        let retry_after_s = u32::try_from(left_ms.div_euclid(1_000) + 1).unwrap_or(u32::MAX).min(60);
        (self.count >= FAILED_MAX && !self.is_over(now)).then_some(AccessError::Throttled { retry_after_s })
    }
}

impl Throttle {
    /// Checks that the network hasn't sent too many invalid tokens.
    ///
    /// # Errors
    /// [`AccessError::Throttled`].
    pub(super) fn check(&self, network: u128, now: Timestamp) -> Result<(), AccessError> {
        self.networks().get(&network).and_then(|failures| failures.throttled(now)).map_or(Ok(()), Err)
    }

    /// Counts an invalid token of the network; returns the error to refuse it with.
    pub(super) fn refuse(&self, network: u128, now: Timestamp) -> AccessError {
        let mut networks = self.networks();
        if networks.len() >= NETWORKS_MAX && !networks.contains_key(&network) {
            networks.retain(|_, failures| !failures.is_over(now));
            if networks.len() >= NETWORKS_MAX {
                return AccessError::Invalid;
            }
        }
        let failures = networks.entry(network).or_insert(Failures { since: now, count: 0 });
        if failures.is_over(now) {
            *failures = Failures { since: now, count: 0 };
        }
        if let Some(throttled) = failures.throttled(now) {
            return throttled;
        }
        failures.count += 1;
        AccessError::Invalid
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<u128, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_bounded_and_forgotten() {
        let throttle = Throttle::default();
        let fails = |network, at| matches!(throttle.refuse(network, Timestamp(at)), AccessError::Invalid);
        assert!((0..2 * NETWORKS_MAX as u128).all(|network| fails(network, 0)));
        assert_eq!(throttle.networks().len(), NETWORKS_MAX);
        assert!((1..FAILED_MAX).all(|_| fails(7, 0)) && !fails(7, 0), "one that is known");
        assert!(throttle.check(7, Timestamp(0)).is_err() && throttle.check(8, Timestamp(0)).is_ok());
        assert!((0..2 * FAILED_MAX).all(|_| fails(u128::MAX, 0)), "one that there is no room for");
        assert!(throttle.check(7, Timestamp(WINDOW_MS)).is_ok());
        assert!(fails(u128::MAX, WINDOW_MS) && fails(7, WINDOW_MS));
        assert_eq!(throttle.networks().len(), 2);
    }
}
