//! Graceful shutdown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::TaskTracker;

/// How long clients with an idle connection may still send a request; its response has `Connection: close`.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// How long requests may take to finish; after that, connections are aborted.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// A shutdown in steps: stop accepting, respond to requests on open connections and close each with its response, close idle
/// connections, and abort the rest.
#[derive(Debug, Default)]
pub struct Shutdown {
    draining: AtomicBool,
    stop_accepting: CancellationToken,
    close_idle: CancellationToken,
    end: CancellationToken,
    connections: TaskTracker,
}

impl Shutdown {
    /// Runs the steps; returns when no connection is left, or the time limit has passed.
    pub async fn run(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.stop_accepting.cancel();
        self.connections.close();
        if tokio::time::timeout(IDLE_GRACE, self.connections.wait()).await.is_err() {
            self.close_idle.cancel();
            // Connections that are still open are aborted below.
            let _ = tokio::time::timeout(FINISH_MAX, self.connections.wait()).await;
        }
        self.end.cancel();
    }

    /// Whether connections are closed with their next response.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> &TaskTracker {
        &self.connections
    }

    pub(super) async fn stop_accepting(&self) {
        self.stop_accepting.cancelled().await;
    }

    pub(super) fn close_idle(&self) -> WaitForCancellationFutureOwned {
        self.close_idle.clone().cancelled_owned()
    }

    pub(super) fn closes_idle(&self) -> bool {
        self.close_idle.is_cancelled()
    }

    /// Completes at the end of [`Self::run`], when the connections that are still open are aborted.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}
