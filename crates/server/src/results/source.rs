//! The source of results that this process doesn't have: the cache that all nodes share, and the store behind it.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::cache::{CachedTallies, Lease, ResultCache};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::store::{Store, StoreError};
use throng_domain::tally::DetailedTallies;

use crate::telemetry::metrics::ResultsMetrics;

/// The interval between checks whether the node that queries the database has put its result into the cache.
const CHECK_EVERY: Duration = Duration::from_millis(10);

/// The most checks before this node queries the database itself.
const CHECKS_MAX: usize = 50;

/// How much longer than requested a lease may be held, in milliseconds.
const LEASE_LONGER_MS: u64 = 2_000;

/// The store, and the cache in front of it.
#[derive(Clone, Debug)]
pub struct ResultSource {
    /// The store of polls and tallies.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The cache that all nodes share; none where only this process records ballots, since its own results are exact.
    pub cache: Option<Arc<dyn ResultCache>>,
    /// For how long a cached result is valid, in milliseconds; 0: never, the store is always queried.
    pub life_ms: u64,
    /// The metrics.
    pub metrics: Arc<ResultsMetrics>,
}

impl ResultSource {
    /// A source without a cache.
    pub fn of_store(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, cache: None, life_ms: 0, metrics: Arc::default() }
    }

    /// The poll's result. With a cache, all nodes together query the store once in the time for which a result is valid.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn latest(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let Some(cache) = self.cache.as_ref().filter(|_| self.life_ms > 0) else { return self.query(poll).await };
        for check in 0..CHECKS_MAX {
            if let Some(found) = cache.get(poll).await.filter(|found| self.is_valid(found)) {
                self.metrics.cache_hits.inc_by(u64::from(check == 0));
                return Ok(found);
            }
            self.metrics.cache_misses.inc_by(u64::from(check == 0));
            match cache.lease(poll, self.lease_ms()).await {
                Lease::Taken => break,
                // Another node is querying the store.
                Lease::Held => tokio::time::sleep(CHECK_EVERY).await,
                Lease::Unknown => return self.query(poll).await,
            }
        }
        let queried = self.query(poll).await?;
        cache.put(&queried).await;
        Ok(queried)
    }

    /// A lease may be held for two seconds longer than requested, and should have expired when the result that it was taken for
    /// is too old: a node that then finds it held has to wait. With a life of up to two seconds that isn't possible.
    fn lease_ms(&self) -> u64 {
        self.life_ms.saturating_sub(LEASE_LONGER_MS).max(1)
    }

    fn is_valid(&self, found: &CachedTallies) -> bool {
        // A result from further in the future comes from a wrong clock, on that node or on this one.
        self.clock.now().0.abs_diff(found.as_of.0) <= self.life_ms
    }

    /// The poll's current result in the store.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn query(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let as_of = self.clock.now();
        self.metrics.queries.inc();
        Ok(CachedTallies { tallies: self.store.tallies(poll).await?, as_of })
    }

    /// The poll's current result in the store, with the details of its tallies.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn detailed(&self, poll: PollId) -> Result<DetailedTallies, StoreError> {
        self.metrics.queries.inc();
        self.store.detailed_tallies(poll).await
    }
}

#[cfg(test)]
mod tests {
    use throng_backends::cache::MemoryCache;
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::clock::{ManualClock, Timestamp};
    use throng_domain::new_poll::NewPoll;
    use throng_domain::store::{PollStore as _, Schema as _};

    use super::*;

    #[tokio::test]
    async fn store_is_queried_once_per_life_of_a_result() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let poll =
            store.create_poll(NewPoll::demo("demo".parse().unwrap(), clock.now()), &Author::THRONG).await.unwrap();
        let cache: Arc<dyn ResultCache> = Arc::new(MemoryCache::default());
        let source =
            ResultSource { cache: Some(cache), life_ms: 1, ..ResultSource::of_store(Arc::new(store), clock.clone()) };
        let counts = |hits, misses, queries| {
            let metrics = &source.metrics;
            assert_eq!(
                [&metrics.cache_hits, &metrics.cache_misses, &metrics.queries].map(|c| c.get()),
                [hits, misses, queries]
            );
        };
        source.latest(poll.id).await.unwrap();
        counts(0, 1, 1);
        clock.set(Timestamp(1_001));
        source.latest(poll.id).await.unwrap();
        counts(1, 1, 1);
        clock.set(Timestamp(1_003));
        source.latest(poll.id).await.unwrap();
        counts(1, 2, 2);
    }
}
