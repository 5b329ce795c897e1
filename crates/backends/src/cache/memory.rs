//! A cache in this process, for a node that doesn't share results with others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use throng_domain::cache::{CachedTallies, Lease, ResultCache};
use throng_domain::poll::PollId;
use tokio::time::Instant;

/// Keeps one result per poll, so that it grows with the number of polls requested and not with the number of requests.
#[derive(Debug, Default)]
pub struct MemoryCache {
    polls: Mutex<HashMap<PollId, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    result: Option<CachedTallies>,
    leased_until: Option<Instant>,
}

impl MemoryCache {
    fn polls(&self) -> MutexGuard<'_, HashMap<PollId, Entry>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ResultCache for MemoryCache {
    async fn get(&self, poll: PollId) -> Option<CachedTallies> {
        self.polls().get(&poll)?.result.clone()
    }

    async fn put(&self, result: &CachedTallies) {
        let mut polls = self.polls();
        let stored = &mut polls.entry(result.tallies.poll).or_default().result;
        if stored.as_ref().is_none_or(|stored| result.is_newer_than(stored)) {
            *stored = Some(result.clone());
        }
    }

    async fn lease(&self, poll: PollId, for_ms: u64) -> Lease {
        let now = Instant::now();
        let mut polls = self.polls();
        let leased_until = &mut polls.entry(poll).or_default().leased_until;
        if leased_until.is_some_and(|until| now < until) {
            return Lease::Held;
        }
        *leased_until = now.checked_add(Duration::from_millis(for_ms));
        Lease::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    throng_domain::cache_contract!(|_test| async { MemoryCache::default() });
}
