//! Ending without cutting anybody off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::TaskTracker;

/// How long clients with an idle connection may still send a request, which is answered with `Connection: close`.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// How long requests may take to finish, after which connections are cut.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// A shutdown, in steps: stop accepting, answer what comes on open connections and close each with its answer, close
/// the idle ones, and cut what is left at the end.
#[derive(Debug, Default)]
pub struct Shutdown {
    draining: AtomicBool,
    stop_accepting: CancellationToken,
    close_idle: CancellationToken,
    end: CancellationToken,
    connections: TaskTracker,
}

impl Shutdown {
    /// Goes through the steps; returns when no connection is left, or the time is over.
    pub async fn run(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.stop_accepting.cancel();
        self.connections.close();
        if tokio::time::timeout(IDLE_GRACE, self.connections.wait()).await.is_err() {
            self.close_idle.cancel();
            // What isn't finished by now is cut below.
            let _ = tokio::time::timeout(FINISH_MAX, self.connections.wait()).await;
        }
        self.end.cancel();
    }

    /// Whether connections are to be closed with their next answer.
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

    /// Done once [`Self::run`] is: who waits for an answer still is cut off.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}
