//! Certificate renewal without a restart or a signal: the server detects and loads new files by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::Tls;
use super::stamp::Stamp;

/// How often the files are checked.
const CHECK_EVERY: Duration = Duration::from_secs(2);

impl Tls {
    /// Loads new files for as long as it is polled. Files that can't be used change nothing, and the reason is logged.
    pub async fn keep_current(self: Arc<Self>) -> Infallible {
        let (mut tried, mut before) = (self.opened, self.opened);
        let mut tick = interval(CHECK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let tls = Arc::clone(&self);
            // Files may be on a disk that hangs, and signals must be handled even then.
            let checked = spawn_blocking(move || {
                let stamp = Stamp::of(&tls.files);
                // Loaded only if unchanged since the previous check: neither replacing two files nor writing one is atomic.
                if stamp != tried && stamp == before {
                    tls.reload();
                    tried = stamp;
                }
                (tried, stamp)
            });
            if let Ok(checked) = checked.await {
                (tried, before) = checked;
            }
        }
    }

    fn reload(&self) {
        match self.files.read() {
            Ok(certificate) => {
                self.current.0.store(Arc::new(certificate));
                info!(certificate = %self.files.certificate.display(), "new connections get the new certificate");
            }
            Err(faults) => error!(%faults, "the new certificate can't be used; the current one stays in use"),
        }
    }
}
