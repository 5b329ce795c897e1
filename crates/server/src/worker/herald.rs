//! The herald: tells all nodes of new tallies, a few times a second at the most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use throng_domain::cache::{CachedTallies, ResultCache};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::queue::Announcer;
use throng_domain::tally::Tallies;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::metrics::HeraldMetrics;

/// From one announcement to the next, at the least.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the broker is left alone that took no announcement.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Keeps the newest tallies of each poll until they are announced.
#[derive(Debug)]
pub struct Herald {
    announcer: Arc<dyn Announcer>,
    cache: Option<Arc<dyn ResultCache>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<HeraldMetrics>,
    /// At most one entry a poll.
    news: Mutex<HashMap<PollId, Tallies>>,
    bell: Notify,
}

impl Herald {
    /// A herald that announces through `announcer`, and keeps what it announced in `cache`.
    pub fn new(
        announcer: Arc<dyn Announcer>,
        cache: Option<Arc<dyn ResultCache>>,
        clock: Arc<dyn Clock>,
        metrics: Arc<HeraldMetrics>,
    ) -> Self {
        Self { announcer, cache, clock, metrics, news: Mutex::default(), bell: Notify::new() }
    }

    /// Takes in the tallies of a commit.
    pub fn tell(&self, tallies: Vec<Tallies>) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        for tallies in tallies {
            let known = news.entry(tallies.poll).or_insert_with(|| tallies.clone());
            // Two lines of recording may tell in another order than they read.
            if tallies.seq > known.seq {
                *known = tallies;
            }
        }
        drop(news);
        self.bell.notify_one();
    }

    /// Announces what it is told until `stop`, and then what is left: the first at once, what comes soon after together.
    pub async fn announce(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => {}
            }
            let pause = if self.announce_news().await { PAUSE } else { AFTER_FAILURE };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.announce_news().await;
    }

    /// Announces what has not been announced yet; whether it was. If it wasn't, it is kept for the next time.
    async fn announce_news(&self) -> bool {
        let as_of = self.clock.now();
        let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        let tallies: Vec<_> = news.into_values().collect();
        if tallies.is_empty() {
            return true;
        }
        if let Some(cache) = &self.cache {
            for tallies in &tallies {
                cache.put(&CachedTallies { tallies: tallies.clone(), as_of }).await;
            }
        }
        match self.announcer.announce(&tallies).await {
            Ok(()) => {
                self.metrics.sent.inc();
                true
            }
            Err(error) => {
                debug!(%error, "tallies were not announced");
                self.metrics.failed.inc();
                self.tell(tallies);
                false
            }
        }
    }
}
