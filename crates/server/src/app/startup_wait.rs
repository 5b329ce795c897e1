//! Waiting, at start, for a database or a broker that is unavailable.
//!
//! After a power failure everything starts at the same time, in any order. A process that exited because its database isn't up
//! yet would depend on its supervisor, which restarts it after longer and longer delays; so it waits, and serves within a
//! second of the database's return. An error that waiting can't resolve (a wrong password, a schema of a later version) ends
//! the start at once.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::Clock;
use throng_domain::queue::QueueError;
use throng_domain::store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{Config, Wait};
use crate::state::Dependency;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// The shortest time between two attempts, in milliseconds. The time is random, so that many nodes don't retry at once.
const RETRY_MIN_MS: u64 = 50;

/// The longest time between two attempts, in milliseconds, so that a process serves within a second of the dependency's return.
const RETRY_MAX_MS: u64 = 150;

/// The start of a process, which may have to wait for its dependencies.
#[derive(Debug)]
pub struct StartupWait {
    wait: Wait,
    began: Instant,
    clock: Arc<dyn Clock>,
    /// Whether the database can be unavailable for a time: a file can't, it can be opened or not.
    has_database_server: bool,
    log_limiter: LogRateLimiter,
    missing: watch::Sender<Dependency>,
}

impl StartupWait {
    /// The start of a process with this configuration; it begins now.
    pub fn new(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        Self {
            wait: config.wait,
            began: Instant::now(),
            clock: Arc::clone(clock),
            has_database_server: config.database.is_shared(),
            log_limiter: LogRateLimiter::new(1),
            missing: watch::Sender::new(Dependency::Store),
        }
    }

    /// The dependency that is waited for, valid from the first failed attempt on.
    pub fn missing(&self) -> watch::Receiver<Dependency> {
        self.missing.subscribe()
    }

    /// Repeats `attempt` until it succeeds; returns its value. Calls `on_unavailable` after each attempt that found the
    /// database or the broker unavailable.
    ///
    /// # Errors
    /// The attempt's error, if waiting can't resolve it or the time to wait is over; that of `on_unavailable`.
    pub async fn until_available<T>(
        &self,
        mut on_unavailable: impl FnMut() -> anyhow::Result<()>,
        mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut has_waited = false;
        loop {
            let error = match attempt().await {
                Ok(value) => {
                    if has_waited {
                        info!(
                            waited_s = self.began.elapsed().as_secs(),
                            "{} is available",
                            self.missing.borrow().name()
                        );
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            let Some(dependency) = self.missing_dependency(&error) else { return Err(error) };
            let left = self.wait.max.map(|max| max.saturating_sub(self.began.elapsed()));
            if left == Some(Duration::ZERO) {
                return Err(error);
            }
            has_waited = true;
            self.missing.send_replace(dependency);
            on_unavailable()?;
            if let Some(unlogged) = self.log_limiter.take(self.clock.now()) {
                let (error, waited_s) = (with_causes(&error), self.began.elapsed().as_secs());
                warn!(error, waited_s, unlogged, "{} is not available; trying again until it is", dependency.name());
            }
            let retry = Duration::from_millis(rand::random_range(RETRY_MIN_MS..=RETRY_MAX_MS));
            tokio::time::sleep(left.map_or(retry, |left| left.min(retry))).await;
        }
    }

    /// The dependency that is unavailable by this error; `None` if a retry can't resolve it.
    fn missing_dependency(&self, error: &anyhow::Error) -> Option<Dependency> {
        // If the connection was lost while the schema was being changed, the next attempt reads the schema again.
        let is_store_unavailable = error.downcast_ref().is_some_and(StoreError::is_retryable);
        let is_queue_unavailable =
            matches!(error.downcast_ref(), Some(QueueError::Unavailable(_) | QueueError::Unknown(_)));
        if is_store_unavailable && self.has_database_server {
            Some(Dependency::Store)
        } else if is_queue_unavailable {
            Some(Dependency::Queue)
        } else {
            None
        }
    }
}

/// The error and its causes, each included once: the text of some errors already contains their cause.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;
    use throng_domain::clock::{ManualClock, Timestamp};

    use super::*;
    use crate::config::Sources;

    const SERVER: (&str, &str) = ("DATABASE_URL", "postgres://throng:throng@localhost/throng");

    fn startup(settings: &[(&str, &str)]) -> StartupWait {
        let config = Config::read(&Sources::from_pairs(settings)).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(0)));
        StartupWait::new(&config, &clock)
    }

    /// The number of attempts and of calls of `on_unavailable`, and the result, where the first `failures` attempts fail with
    /// `error`.
    async fn attempts(
        settings: &[(&str, &str)],
        failures: usize,
        error: fn() -> anyhow::Error,
    ) -> (usize, usize, anyhow::Result<()>) {
        let (mut made, mut unavailable) = (0, 0);
        let attempt = async || {
            made += 1;
            if made > failures { Ok(()) } else { Err(error()) }
        };
        let on_unavailable = || {
            unavailable += 1;
            Ok(())
        };
        let done = startup(settings).until_available(on_unavailable, attempt).await;
        (made, unavailable, done)
    }

    fn refused() -> anyhow::Error {
        anyhow::Error::new(StoreError::Unavailable("refused".into())).context("can't open it")
    }

    #[tokio::test]
    async fn unavailable_dependency_is_retried() {
        assert!(matches!(attempts(&[SERVER], 3, refused).await, (4, 3, Ok(()))));
        let blocked = || QueueError::Unavailable("refused".into()).into();
        assert!(matches!(attempts(&[], 3, blocked).await, (4, 3, Ok(()))));
    }

    #[tokio::test]
    async fn waiting_ends_after_the_configured_time() {
        let (made, unavailable, done) = attempts(&[SERVER, ("WAIT", "0")], 1, refused).await;
        assert_eq!((made, unavailable, done.unwrap_err().to_string().as_str()), (1, 0, "can't open it"));
        let (made, unavailable, done) = attempts(&[SERVER, ("WAIT", "1")], usize::MAX, refused).await;
        assert!(done.is_err() && made > 1 && unavailable == made - 1, "{made} {unavailable}");
    }

    #[tokio::test]
    async fn permanent_error_ends_the_start() {
        let rejected = || StoreError::Rejected("no such user".to_owned()).into();
        assert!(matches!(attempts(&[SERVER], 1, rejected).await, (1, 0, Err(_))));
        assert!(matches!(attempts(&[], 1, refused).await, (1, 0, Err(_))), "a file is not waited for");
        assert!(matches!(attempts(&[SERVER], 1, || anyhow::anyhow!("unsafe")).await, (1, 0, Err(_))));
    }

    #[tokio::test]
    async fn missing_dependency_is_published() {
        let startup = startup(&[SERVER]);
        let missing = startup.missing();
        for (error, expected) in
            [(QueueError::Unavailable("refused".into()).into(), Dependency::Queue), (refused(), Dependency::Store)]
        {
            let mut error = Some(error);
            let attempt = async || error.take().map_or(Ok(()), Err);
            startup.until_available(|| Ok(()), attempt).await.unwrap();
            assert_eq!(*missing.borrow(), expected);
        }
    }

    #[test]
    fn cause_is_included_once() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let with_cause = anyhow::Error::new(refused()).context("can't connect: refused").context("can't open it");
        assert_eq!(with_causes(&with_cause), "can't open it: can't connect: refused");
        let caused = Err::<(), _>(refused()).context("can't connect").unwrap_err();
        assert_eq!(with_causes(&caused), "can't connect: refused");
    }
}
