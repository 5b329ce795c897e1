//! What every cache must do: see [`cache_contract`](crate::cache_contract).

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use crate::cache::{CachedTallies, Lease, ResultCache};
use crate::clock::Timestamp;
use crate::poll::{OptionId, PollId};
use crate::tally::Tallies;

/// Makes a `#[tokio::test]` of every behaviour of a cache, each on an empty cache of its own.
///
/// ```text
/// throng_domain::cache_contract!(|test: &'static str| async move { MyCache::connect(test).await });
/// ```
///
/// The maker is called with the test's name and gives a cache that knows nothing yet.
#[macro_export]
macro_rules! cache_contract {
    ($maker:expr) => {
        $crate::cache_contract!($maker;
            a_result_comes_back_as_it_was_put
            what_was_never_put_is_not_there
            polls_are_kept_apart
            a_later_result_takes_the_place
            an_older_result_changes_nothing
            the_same_result_seen_later_takes_the_place
            of_many_puts_at_once_the_latest_stays
            a_lease_is_taken_once
            leases_are_kept_apart
            a_lease_comes_free_after_its_time
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

/// How long a lease may outlast its time.
const LEASE_SLACK: Duration = Duration::from_secs(2);

/// A result of the poll of version `seq`, its counts made from that.
pub fn result(poll: i64, seq: u64) -> CachedTallies {
    let counts = vec![(OptionId(1), seq), (OptionId(2), 0), (OptionId(u16::MAX), seq * 2)];
    let tallies = Tallies { poll: PollId(poll), seq, voters: seq * 2, counts };
    CachedTallies { tallies, as_of: Timestamp(1_000) }
}

/// A result comes back whole, the largest numbers too.
pub async fn a_result_comes_back_as_it_was_put(cache: &dyn ResultCache) {
    let small = result(1, 7);
    let counts = (1..=1_000).map(|id| (OptionId(id), u64::MAX - u64::from(id))).collect();
    let tallies = Tallies { poll: PollId(i64::MAX), seq: u64::MAX, voters: u64::MAX, counts };
    let large = CachedTallies { tallies, as_of: Timestamp(i64::MIN) };
    for put in [small, large] {
        cache.put(&put).await;
        assert_eq!(cache.get(put.tallies.poll).await, Some(put));
    }
}

/// A poll that nobody put has no result.
pub async fn what_was_never_put_is_not_there(cache: &dyn ResultCache) {
    assert_eq!(cache.get(PollId(1)).await, None);
}

/// A poll's result is its own.
pub async fn polls_are_kept_apart(cache: &dyn ResultCache) {
    for poll in [1, 11, -1] {
        cache.put(&result(poll, 5)).await;
    }
    for poll in [1, 11, -1] {
        assert_eq!(cache.get(PollId(poll)).await, Some(result(poll, 5)));
    }
    assert_eq!(cache.get(PollId(111)).await, None);
}

/// A later result is shown from then on.
pub async fn a_later_result_takes_the_place(cache: &dyn ResultCache) {
    cache.put(&result(1, 9)).await;
    cache.put(&result(1, 10)).await;
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 10)));
}

/// No result goes back, however late its put.
pub async fn an_older_result_changes_nothing(cache: &dyn ResultCache) {
    cache.put(&result(1, 10)).await;
    let older = CachedTallies { as_of: Timestamp(9_000), ..result(1, 9) };
    cache.put(&older).await;
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 10)));
}

/// A poll in which nobody votes has a result that is as fresh as its last look.
pub async fn the_same_result_seen_later_takes_the_place(cache: &dyn ResultCache) {
    let seen = |at| CachedTallies { as_of: Timestamp(at), ..result(1, 10) };
    for at in [1_000, 3_000, 2_000] {
        cache.put(&seen(at)).await;
    }
    assert_eq!(cache.get(PollId(1)).await, Some(seen(3_000)));
}

/// The same holds for puts that overtake each other.
pub async fn of_many_puts_at_once_the_latest_stays(cache: &dyn ResultCache) {
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

/// However many ask, one may.
pub async fn a_lease_is_taken_once(cache: &dyn ResultCache) {
    let ask = || cache.lease(PollId(1), 60_000);
    let (a, b, c, d, e, f) = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    let mut answers = vec![a, b, c, d, e, f, ask().await];
    answers.retain(|answer| *answer != Lease::Held);
    assert_eq!(answers, [Lease::Taken]);
}

/// A poll's lease is its own, and has nothing to do with its result.
pub async fn leases_are_kept_apart(cache: &dyn ResultCache) {
    cache.put(&result(1, 1)).await;
    assert_eq!(cache.lease(PollId(1), 60_000).await, Lease::Taken);
    assert_eq!(cache.lease(PollId(2), 60_000).await, Lease::Taken);
    assert_eq!(cache.get(PollId(1)).await, Some(result(1, 1)));
    assert_eq!(cache.lease(PollId(1), 60_000).await, Lease::Held);
}

/// A lease ends by itself, not before its time and not long after.
pub async fn a_lease_comes_free_after_its_time(cache: &dyn ResultCache) {
    let time = Duration::from_millis(1_100);
    let ask = || cache.lease(PollId(1), 1_100);
    assert_eq!(ask().await, Lease::Taken);
    let taken = Instant::now();
    let free = async {
        let mut tick = interval(Duration::from_millis(20));
        while ask().await != Lease::Taken {
            tick.tick().await;
        }
    };
    timeout(time + 2 * LEASE_SLACK, free).await.expect("the lease comes free");
    let held = taken.elapsed();
    assert!(held + Duration::from_millis(50) >= time, "it was held for {held:?} only");
    assert!(held <= time + LEASE_SLACK + Duration::from_millis(500), "it was held for {held:?}");
}
