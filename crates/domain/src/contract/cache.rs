//! What every cache must do: see [`cache_contract`](crate::cache_contract).

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use crate::cache::{CachedTallies, Lease, ResultCache};
use crate::clock::Timestamp;
use crate::poll::{OptionId, PollId};
use crate::tally::Tallies;

/// Defines a `#[tokio::test]` for every behaviour of a cache, each on an empty cache of its own.
///
/// ```text
/// throng_domain::cache_contract!(|test: &'static str| async move { MyCache::connect(test).await });
/// ```
///
/// The maker is called with the test's name and returns an empty cache.
#[macro_export]
macro_rules! cache_contract {
    ($maker:expr) => {
        $crate::cache_contract!($maker;
            result_is_returned_as_put
            missing_result_is_none
            polls_are_kept_apart
            later_result_replaces
            older_result_changes_nothing
            same_result_with_a_later_time_replaces
            latest_of_concurrent_puts_remains
            a_lease_is_taken_once
            leases_are_kept_apart
            lease_expires_after_its_time
        );
    };
    ($maker:expr; $($behaviour:ident)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let cache = ($maker)(stringify!($behaviour)).await;
                $crate::contract::cache::$behaviour(&cache).await;
            }
        )+
    };
}

/// How much longer than its time a lease may last.
const LEASE_SLACK: Duration = Duration::from_secs(2);

/// A result of the poll with version `seq`, its counts derived from that.
pub fn result(poll: i64, seq: u64) -> CachedTallies {
    let counts = vec![(OptionId(1), seq), (OptionId(2), 0), (OptionId(u16::MAX), seq * 2)];
    let tallies = Tallies { poll: PollId(poll), seq, voters: seq * 2, counts };
    CachedTallies { tallies, as_of: Timestamp(1_000) }
}

/// A result is returned complete, with the largest numbers too.
pub async fn result_is_returned_as_put(cache: &dyn ResultCache) {
    let small = result(1, 7);
    let counts = (1..=1_000).map(|id| (OptionId(id), u64::MAX - u64::from(id))).collect();
    let tallies = Tallies { poll: PollId(i64::MAX), seq: u64::MAX, voters: u64::MAX, counts };
    let large = CachedTallies { tallies, as_of: Timestamp(i64::MIN) };
    for put in [small, large] {
        cache.put(&put).await;
        assert_eq!(cache.get(put.tallies.poll).await, Some(put));
    }
}

/// A poll that was never put has no result.
pub async fn missing_result_is_none(cache: &dyn ResultCache) {
    assert_eq!(cache.get(PollId(1)).await, None);
}

/// Each poll has its own result.
pub async fn polls_are_kept_apart(cache: &dyn ResultCache) {
    for poll in [1, 11, -1] {
        cache.put(&result(poll, 5)).await;
    }
    for poll in [1, 11, -1] {
        assert_eq!(cache.get(PollId(poll)).await, Some(result(poll, 5)));
    }
    assert_eq!(cache.get(PollId(111)).await, None);
}

/// A later result is returned from then on.
pub async fn later_result_replaces(cache: &dyn ResultCache) {
    cache.put(&result(1, 9)).await;
    cache.put(&result(1, 10)).await;
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 10)));
}

/// A late put never replaces a result by an older one.
pub async fn older_result_changes_nothing(cache: &dyn ResultCache) {
    cache.put(&result(1, 10)).await;
    let older = CachedTallies { as_of: Timestamp(9_000), ..result(1, 9) };
    cache.put(&older).await;
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 10)));
}

/// The result of a poll without new ballots is as fresh as its last check.
pub async fn same_result_with_a_later_time_replaces(cache: &dyn ResultCache) {
    let seen = |at| CachedTallies { as_of: Timestamp(at), ..result(1, 10) };
    for at in [1_000, 3_000, 2_000] {
        cache.put(&seen(at)).await;
    }
    assert_eq!(cache.get(PollId(1)).await, Some(seen(3_000)));
}

/// The same holds for concurrent puts in any order.
pub async fn latest_of_concurrent_puts_remains(cache: &dyn ResultCache) {
    let up = async {
        for seq in 0..100 {
            cache.put(&result(1, seq)).await;
        }
    };
    let down = async {
        for seq in (0..100).rev() {
            cache.put(&result(1, seq)).await;
        }
    };
    let watch = async {
        let mut last = 0;
        for _ in 0..100 {
            let seq = cache.get(PollId(1)).await.map_or(0, |cached| cached.tallies.seq);
            assert!(seq >= last, "the result went back from {last} to {seq}");
            last = seq;
        }
    };
    tokio::join!(up, down, watch);
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 99)));
}

/// Exactly one of many requests gets the lease.
pub async fn a_lease_is_taken_once(cache: &dyn ResultCache) {
    let request = || cache.lease(PollId(1), 60_000);
    let (a, b, c, d, e, f) = tokio::join!(request(), request(), request(), request(), request(), request());
    let mut leases = vec![a, b, c, d, e, f, request().await];
    leases.retain(|lease| *lease != Lease::Held);
    assert_eq!(leases, [Lease::Taken]);
}

/// Each poll has its own lease, independent of its result.
pub async fn leases_are_kept_apart(cache: &dyn ResultCache) {
    cache.put(&result(1, 1)).await;
    assert_eq!(cache.lease(PollId(1), 60_000).await, Lease::Taken);
    assert_eq!(cache.lease(PollId(2), 60_000).await, Lease::Taken);
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 1)));
    assert_eq!(cache.lease(PollId(1), 60_000).await, Lease::Held);
}

/// A lease ends by itself, not before its time and not long after.
pub async fn lease_expires_after_its_time(cache: &dyn ResultCache) {
    let time = Duration::from_millis(1_100);
    let request = || cache.lease(PollId(1), 1_100);
    assert_eq!(request().await, Lease::Taken);
    let taken = Instant::now();
    let expiry = async {
        let mut tick = interval(Duration::from_millis(20));
        while request().await != Lease::Taken {
            tick.tick().await;
        }
    };
    timeout(time + 2 * LEASE_SLACK, expiry).await.expect("the lease expires");
    let held = taken.elapsed();
    assert!(held + Duration::from_millis(50) >= time, "it was held for {held:?} only");
    assert!(held <= time + LEASE_SLACK + Duration::from_millis(500), "it was held for {held:?}");
}
