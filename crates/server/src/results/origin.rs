//! Where results come from that this process doesn't know: the cache that all nodes share, and the store behind it.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::cache::{CachedTallies, Lease, ResultCache};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::store::{Store, StoreError};

/// How often it is looked whether the node that asks the database has its answer in the cache.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How often it is looked at the most, before the database is asked after all.
const LOOKS_MAX: usize = 50;

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
}

impl Origin {
    /// An origin that is only the store.
    pub fn of_store(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, cache: None, life_ms: 0 }
    }

    /// The poll's result. With a cache in front, all nodes together ask the store once in the time that a result is good.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn latest(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let Some(cache) = self.cache.as_ref().filter(|_| self.life_ms > 0) else { return self.ask(poll).await };
        for _ in 0..LOOKS_MAX {
            if let Some(found) = cache.get(poll).await.filter(|found| self.is_good(found)) {
                return Ok(found);
            }
            match cache.lease(poll, self.life_ms).await {
                Lease::Taken => {
                    let asked = self.ask(poll).await?;
                    cache.put(&asked).await;
                    return Ok(asked);
                }
                // Another node asks at this moment.
                Lease::Held => tokio::time::sleep(LOOK_AGAIN).await,
                Lease::Unknown => break,
            }
        }
        self.ask(poll).await
    }

    fn is_good(&self, found: &CachedTallies) -> bool {
        let life_ms = i64::try_from(self.life_ms).unwrap_or(i64::MAX);
        found.as_of.plus_ms(life_ms) >= self.clock.now()
    }

    async fn ask(&self, poll: PollId) -> Result<CachedTallies, StoreError> {
        let as_of = self.clock.now();
        Ok(CachedTallies { tallies: self.store.tallies(poll).await?, as_of })
    }
}
