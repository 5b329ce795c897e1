//! Where results come from that this process doesn't know: the cache that all nodes share, and the store behind it.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::cache::{CachedTallies, Lease, ResultCache};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::store::{Store, StoreError};

use crate::metrics::ResultsMetrics;

/// How often it is looked whether the node that asks the database has its answer in the cache.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How often it is looked at the most, before the database is asked after all.
const LOOKS_MAX: usize = 50;

/// How much longer than asked for a lease may be kept.
const LEASE_LONGER_MS: u64 = 2_000;

/// The store, and what stands in front of it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where polls and tallies are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What all nodes share; none where this process alone counts, whose own results are exact.
    pub cache: Option<Arc<dyn ResultCache>>,
    /// For how long a result from the cache is good, in milliseconds; 0: never, the store is always asked.
    pub life_ms: u64,
    /// What is measured.
    pub metrics: Arc<ResultsMetrics>,
}

impl Origin {
    /// An origin that is only the store.
    pub fn of_store(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, cache: None, life_ms: 0, metrics: Arc::default() }
    }

    /// The poll's result. With a cache in front, all nodes together ask the store once in the time that a result is good.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn latest(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let Some(cache) = self.cache.as_ref().filter(|_| self.life_ms > 0) else { return self.ask(poll).await };
        for look in 0..LOOKS_MAX {
            if let Some(found) = cache.get(poll).await.filter(|found| self.is_good(found)) {
                self.metrics.cache_hits.inc_by(u64::from(look == 0));
                return Ok(found);
            }
            self.metrics.cache_misses.inc_by(u64::from(look == 0));
            match cache.lease(poll, self.lease_ms()).await {
                Lease::Taken => break,
                // Another node asks at this moment.
                Lease::Held => tokio::time::sleep(LOOK_AGAIN).await,
                Lease::Unknown => return self.ask(poll).await,
            }
        }
        let asked = self.ask(poll).await?;
        cache.put(&asked).await;
        Ok(asked)
    }

    /// A lease may be kept for two seconds longer than is asked for, and should be over when the result that it was taken for
    /// is too old: whoever finds it held then has to wait. With a life of up to two seconds it can't be.
    fn lease_ms(&self) -> u64 {
        self.life_ms.saturating_sub(LEASE_LONGER_MS).max(1)
    }

    fn is_good(&self, found: &CachedTallies) -> bool {
        // One from further in the future is of a clock that is wrong, there or here.
        self.clock.now().0.abs_diff(found.as_of.0) <= self.life_ms
    }

    /// The poll's result as the store has it now.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn ask(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let as_of = self.clock.now();
        self.metrics.queries.inc();
        Ok(CachedTallies { tallies: self.store.tallies(poll).await?, as_of })
    }
}

#[cfg(test)]
mod tests {
    use throng_backends::cache::MemoryCache;
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::clock::{ManualClock, Timestamp};
    use throng_domain::new_poll::NewPoll;
    use throng_domain::store::Database as _;

    use super::*;

    #[tokio::test]
    async fn a_result_is_asked_for_once_in_its_life() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let poll = store.create_poll(NewPoll::demo("demo".parse().unwrap(), clock.now())).await.unwrap();
        let cache: Arc<dyn ResultCache> = Arc::new(MemoryCache::default());
        let origin = Origin { cache: Some(cache), life_ms: 1, ..Origin::of_store(Arc::new(store), clock.clone()) };
        let counts = |hits, misses, queries| {
            let metrics = &origin.metrics;
            assert_eq!(
                [&metrics.cache_hits, &metrics.cache_misses, &metrics.queries].map(|c| c.get()),
                [hits, misses, queries]
            );
        };
        origin.latest(poll.id).await.unwrap();
        counts(0, 1, 1);
        clock.set(Timestamp(1_001));
        origin.latest(poll.id).await.unwrap();
        counts(1, 1, 1);
        clock.set(Timestamp(1_003));
        origin.latest(poll.id).await.unwrap();
        counts(1, 2, 2);
    }
}
