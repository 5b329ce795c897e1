//! Sends new tallies to all nodes, at most ten times a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use throng_domain::cache::{CachedTallies, ResultCache};
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::queue::ResultPublisher;
use throng_domain::tally::Tallies;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::telemetry::metrics::BroadcasterMetrics;

/// The shortest time from one message to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// The time until the next attempt after the broker has not accepted a message.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Keeps the newest tallies of each poll until they are sent.
#[derive(Debug)]
pub struct ResultBroadcaster {
    result_publisher: Arc<dyn ResultPublisher>,
    cache: Option<Arc<dyn ResultCache>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<BroadcasterMetrics>,
    /// At most one entry per poll.
    pending: Mutex<HashMap<PollId, Tallies>>,
    wakeup: Notify,
}

impl ResultBroadcaster {
    /// Sends through `result_publisher`, and stores what it sends in `cache`.
    pub fn new(
        result_publisher: Arc<dyn ResultPublisher>,
        cache: Option<Arc<dyn ResultCache>>,
        clock: Arc<dyn Clock>,
        metrics: Arc<BroadcasterMetrics>,
    ) -> Self {
        Self { result_publisher, cache, clock, metrics, pending: Mutex::default(), wakeup: Notify::new() }
    }

    /// Adds the tallies of a commit to those that are to be sent.
    pub fn enqueue(&self, tallies: Vec<Tallies>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for tallies in tallies {
            let known = pending.entry(tallies.poll).or_insert_with(|| tallies.clone());
            // Two consumers may enqueue in a different order than they read.
            if tallies.seq > known.seq {
                *known = tallies;
            }
        }
        drop(pending);
        self.wakeup.notify_one();
    }

    /// Sends enqueued tallies until `stop` is cancelled, then the remaining ones: the first tallies at once, those that follow
    /// soon after them together.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wakeup.notified() => {}
            }
            let pause = if self.broadcast_pending().await { PAUSE } else { AFTER_FAILURE };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.broadcast_pending().await;
    }

    /// Sends the pending tallies; returns whether the broker accepted them. If not, they stay pending.
    async fn broadcast_pending(&self) -> bool {
        let as_of = self.clock.now();
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let tallies: Vec<_> = pending.into_values().collect();
        if tallies.is_empty() {
            return true;
        }
        if let Some(cache) = &self.cache {
            for tallies in &tallies {
                cache.put(&CachedTallies { tallies: tallies.clone(), as_of }).await;
            }
        }
        match self.result_publisher.publish(&tallies).await {
            Ok(()) => {
                self.metrics.sent.inc();
                true
            }
            Err(error) => {
                debug!(%error, "tallies were not sent to the nodes");
                self.metrics.failed.inc();
                self.enqueue(tallies);
                false
            }
        }
    }
}
