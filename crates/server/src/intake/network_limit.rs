//! Limits how many votes each network sends to each poll, so that one source can't fill the queues for all others.
//!
//! A network may send a minute's share at once, and gets it back evenly over the minute (GCRA, by `governor`). Votes that are
//! refused take nothing of it. What is known of a network is one time, and it is forgotten some two minutes after its last vote
//! at the latest.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use tokio::time::MissedTickBehavior;

use crate::net::network;
use crate::telemetry::metrics::NetworkLimitMetrics;

/// The most networks that are known, over all polls. The table has room for 131,072 entries of 49 bytes then: 6.4 MB, and half
/// as much again for the moment in which it grows.
const NETWORKS_MAX: usize = 100_000;

/// The interval at which networks that have their whole share again are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(10);

const MS_NANOS: u64 = 1_000_000;

/// A network's votes in one poll.
type Key = (PollId, u128);

/// The limit, for all cores.
#[derive(Debug)]
pub struct NetworkLimit(RateLimiter<Key, KnownNetworks, LimitClock, NoOpMiddleware<Nanos>>);

/// The share of a network is used up, until a vote may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareUsed {
    /// After how many whole seconds; at least 1.
    pub retry_after_s: u32,
}

impl NetworkLimit {
    /// Allows each network so many votes per minute in each poll.
    pub fn new(votes_per_minute: NonZeroU32, clock: Arc<dyn Clock>, metrics: NetworkLimitMetrics) -> Self {
        Self::with_room(NETWORKS_MAX, votes_per_minute, clock, metrics)
    }

    fn with_room(max: usize, votes: NonZeroU32, clock: Arc<dyn Clock>, metrics: NetworkLimitMetrics) -> Self {
        let known = KnownNetworks { until: Mutex::default(), max, metrics };
        Self(RateLimiter::new(Quota::per_minute(votes), known, LimitClock(clock)))
    }

    /// Takes a vote from the share of the network of `address` in `poll`.
    ///
    /// # Errors
    /// If the share is used up.
    pub fn take(&self, poll: PollId, address: IpAddr) -> Result<(), ShareUsed> {
        self.0.check_key(&(poll, network(address))).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.0.clock().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            ShareUsed { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) }
        })
    }

    /// Regularly forgets the networks that have their whole share again.
    pub async fn keep_forgetting(&self) -> Infallible {
        let mut tick = tokio::time::interval(FORGET_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.0.retain_recent();
        }
    }
}

/// The clock of the polls, as the limiter reads it.
#[derive(Debug)]
struct LimitClock(Arc<dyn Clock>);

impl GovernorClock for LimitClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.0.now().0).unwrap_or_default().saturating_mul(MS_NANOS))
    }
}

/// The networks that have less than their whole share, at most `max`.
///
/// While there are so many, others aren't limited: honest voters must not be refused because an attacker has many networks,
/// each of which may send its share anyway.
#[derive(Debug)]
struct KnownNetworks {
    /// The time at which each has its whole share again.
    until: Mutex<HashMap<Key, Nanos>>,
    max: usize,
    metrics: NetworkLimitMetrics,
}

impl KnownNetworks {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Key, Nanos>) -> T) -> T {
        f(&mut self.until.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self, known: usize) {
        self.metrics.networks.set(i64::try_from(known).unwrap_or(i64::MAX));
    }
}

impl StateStore for KnownNetworks {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.with(|networks| {
            if let Some(until) = networks.get_mut(key) {
                let (taken, next) = decide(Some(*until))?;
                *until = next;
                return Ok(taken);
            }
            let (taken, next) = decide(None)?;
            if networks.len() < self.max {
                networks.insert(*key, next);
                self.show(networks.len());
            } else {
                self.metrics.unlimited.inc();
            }
            Ok(taken)
        })
    }
}

impl ShrinkableKeyedStateStore<Key> for KnownNetworks {
    fn retain_recent(&self, drop_below: Nanos) {
        self.with(|networks| {
            networks.retain(|_, until| *until > drop_below);
            self.show(networks.len());
        });
    }

    fn len(&self) -> usize {
        self.with(|networks| networks.len())
    }

    fn is_empty(&self) -> bool {
        self.with(|networks| networks.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use throng_domain::clock::{ManualClock, Timestamp};

    use super::*;

    const POLL: PollId = PollId(1);
    const START: Timestamp = Timestamp(1_800_000_000_000);

    struct Limited {
        limit: NetworkLimit,
        clock: Arc<ManualClock>,
        metrics: NetworkLimitMetrics,
    }

    /// A limit of so many votes per minute, with room for so many networks.
    fn limited(votes: u32, room: usize) -> Limited {
        let (clock, metrics) = (Arc::new(ManualClock::new(START)), NetworkLimitMetrics::default());
        let votes = NonZeroU32::new(votes).unwrap();
        let limit = NetworkLimit::with_room(room, votes, Arc::<ManualClock>::clone(&clock), metrics.clone());
        Limited { limit, clock, metrics }
    }

    fn host(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    impl Limited {
        /// How many of so many votes of `address` are allowed now.
        fn allowed(&self, votes: u32, address: IpAddr) -> usize {
            (0..votes).filter(|_| self.limit.take(POLL, address).is_ok()).count()
        }
    }

    #[test]
    fn network_has_its_share_in_each_poll() {
        let it = limited(60, 10);
        assert_eq!(it.allowed(600, host(1)), 60);
        assert_eq!(it.allowed(600, host(2)), 60, "another network");
        assert!(it.limit.take(PollId(2), host(1)).is_ok(), "another poll");
        // A share that comes back evenly: a source at ten times the limit gets no more than the limit.
        for second in 1..=60 {
            it.clock.set(START.plus_ms(second * 1_000));
            assert_eq!(it.allowed(10, host(1)), 1);
        }
        it.clock.set(START.plus_ms(3_600_000));
        assert_eq!(it.allowed(600, host(1)), 60, "no more than a share is saved up");
    }

    #[test]
    fn addresses_of_one_64_have_one_share() {
        let it = limited(60, 10);
        let of_one = |host: u64| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(host)));
        assert_eq!((0..10_000).filter(|host| it.limit.take(POLL, of_one(*host)).is_ok()).count(), 60);
        assert_eq!(it.metrics.networks.get(), 1);
    }

    #[test]
    fn retry_after_is_when_a_vote_is_allowed_again() {
        for (votes, expected) in [(1, 60), (7, 9), (60, 1), (100_000, 1)] {
            let it = limited(votes, 10);
            it.clock.set(START.plus_ms(123));
            assert_eq!(it.allowed(votes, host(1)), votes as usize);
            let refused = it.limit.take(POLL, host(1));
            assert_eq!(refused, Err(ShareUsed { retry_after_s: expected }), "{votes} a minute");
            let then = START.plus_ms(123 + i64::from(expected) * 1_000);
            if votes <= 60 {
                it.clock.set(then.plus_ms(-1_000));
                assert!(it.limit.take(POLL, host(1)).is_err(), "a second earlier, {votes} a minute");
            }
            it.clock.set(then);
            assert!(it.limit.take(POLL, host(1)).is_ok(), "{votes} a minute");
        }
    }

    #[test]
    fn known_networks_are_bounded_and_others_are_not_limited() {
        let it = limited(1, 1_000);
        for network in 0..5_000 {
            assert!(it.limit.take(POLL, host(network)).is_ok(), "{network}");
        }
        assert_eq!((it.limit.0.len(), it.metrics.networks.get(), it.metrics.unlimited.get()), (1_000, 1_000, 4_000));
        assert_eq!(it.allowed(10, host(7)), 0, "one that is known");
        assert_eq!(it.allowed(10, host(4_000)), 10, "one that there is no room for");
        // When it has its whole share again, and one vote's time later.
        it.clock.set(START.plus_ms(120_000));
        it.limit.0.retain_recent();
        assert_eq!((it.limit.0.len(), it.metrics.networks.get()), (0, 0));
        assert_eq!(it.allowed(10, host(4_000)), 1);
    }

    #[test]
    fn network_that_is_forgotten_gains_nothing_by_it() {
        let it = limited(60, 10);
        assert_eq!(it.allowed(60, host(1)), 60);
        for second in 1..=60 {
            it.clock.set(START.plus_ms(second * 1_000));
            it.limit.0.retain_recent();
            assert_eq!(it.allowed(10, host(1)), 1, "after {second} s");
        }
    }
}
