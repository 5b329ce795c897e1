//! Waiting, at start, for a database or a broker that is away.
//!
//! After a power failure everything starts at once, in any order. A process that ended because its database isn't up yet
//! would be left to its supervisor, which starts it later and later; so it waits, and serves within a second of the
//! database's return. What waiting can't mend (a wrong password, a schema of a later version) ends the start at once.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::Clock;
use throng_domain::queue::QueueError;
use throng_domain::store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{Config, Wait};
use crate::http::Dependency;
use crate::log_rate_limiter::LogRateLimiter;

/// The time between two attempts is chosen at random from this on, in milliseconds, so that many nodes don't come at once …
const RETRY_MIN_MS: u64 = 50;

/// … up to this: whoever waits serves within a second of the return of what it waits for.
const RETRY_MAX_MS: u64 = 150;

/// A start that may have to wait.
#[derive(Debug)]
pub struct StartupWait {
    wait: Wait,
    began: Instant,
    clock: Arc<dyn Clock>,
    /// Whether the database may be away at all: a file isn't, it can be opened or it can't.
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

    /// What is waited for, from the first failed attempt on.
    pub fn missing(&self) -> watch::Receiver<Dependency> {
        self.missing.subscribe()
    }

    /// What `attempt` gives as soon as it succeeds. After each attempt that found the database or the broker away,
    /// `on_away` is called.
    ///
    /// # Errors
    /// The attempt's error, if waiting is of no use or has lasted long enough; that of `on_away`.
    pub async fn until_available<T>(
        &self,
        mut on_away: impl FnMut() -> anyhow::Result<()>,
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
            let Some(dependency) = self.missing_by(&error) else { return Err(error) };
            let left = self.wait.max.map(|max| max.saturating_sub(self.began.elapsed()));
            if left == Some(Duration::ZERO) {
                return Err(error);
            }
            has_waited = true;
            self.missing.send_replace(dependency);
            on_away()?;
            if let Some(unlogged) = self.log_limiter.take(self.clock.now()) {
                let (error, waited_s) = (with_causes(&error), self.began.elapsed().as_secs());
                warn!(error, waited_s, unlogged, "{} is not available; trying again until it is", dependency.name());
            }
            let retry = Duration::from_millis(rand::random_range(RETRY_MIN_MS..=RETRY_MAX_MS));
            tokio::time::sleep(left.map_or(retry, |left| left.min(retry))).await;
        }
    }

    /// What is away by this error; `None` if trying again is of no use.
    fn missing_by(&self, error: &anyhow::Error) -> Option<Dependency> {
        // A schema that was being changed when the connection was lost is looked at again.
        let store_is_away = error.downcast_ref().is_some_and(StoreError::may_pass);
        let queue_is_away = matches!(error.downcast_ref(), Some(QueueError::Unavailable(_) | QueueError::Unknown(_)));
        if store_is_away && self.has_database_server {
            Some(Dependency::Store)
        } else if queue_is_away {
            Some(Dependency::Queue)
        } else {
            None
        }
    }
}

/// The error and its causes, each said once: some errors say their cause themselves.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.ends_with(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
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

    /// How many attempts are made, where the first `failures` of them fail so, and what comes of them.
    async fn attempts(
        settings: &[(&str, &str)],
        failures: usize,
        error: fn() -> anyhow::Error,
    ) -> (usize, usize, anyhow::Result<()>) {
        let (mut made, mut away) = (0, 0);
        let attempt = async || {
            made += 1;
            if made > failures { Ok(()) } else { Err(error()) }
        };
        let on_away = || {
            away += 1;
            Ok(())
        };
        let done = startup(settings).until_available(on_away, attempt).await;
        (made, away, done)
    }

    fn refused() -> anyhow::Error {
        anyhow::Error::new(StoreError::Unavailable("refused".into())).context("can't open it")
    }

    #[tokio::test]
    async fn what_is_away_is_tried_until_it_is_there() {
        assert!(matches!(attempts(&[SERVER], 3, refused).await, (4, 3, Ok(()))));
        let blocked = || QueueError::Unavailable("refused".into()).into();
        assert!(matches!(attempts(&[], 3, blocked).await, (4, 3, Ok(()))));
    }

    #[tokio::test]
    async fn waiting_ends_when_it_was_told_to() {
        let (made, away, done) = attempts(&[SERVER, ("WAIT", "0")], 1, refused).await;
        assert_eq!((made, away, done.unwrap_err().to_string().as_str()), (1, 0, "can't open it"));
        let (made, away, done) = attempts(&[SERVER, ("WAIT", "1")], usize::MAX, refused).await;
        assert!(done.is_err() && made > 1 && away == made - 1, "{made} {away}");
    }

    #[tokio::test]
    async fn what_waiting_cannot_mend_ends_the_start() {
        let rejected = || StoreError::Rejected("no such user".to_owned()).into();
        assert!(matches!(attempts(&[SERVER], 1, rejected).await, (1, 0, Err(_))));
        assert!(matches!(attempts(&[], 1, refused).await, (1, 0, Err(_))), "a file isn't away");
        assert!(matches!(attempts(&[SERVER], 1, || anyhow::anyhow!("unsafe")).await, (1, 0, Err(_))));
    }

    #[tokio::test]
    async fn what_is_waited_for_is_known() {
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
    fn a_cause_is_said_once() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let says_its_cause = anyhow::Error::new(refused()).context("can't connect: refused").context("can't open it");
        assert_eq!(with_causes(&says_its_cause), "can't open it: can't connect: refused");
        let caused = Err::<(), _>(refused()).context("can't connect").unwrap_err();
        assert_eq!(with_causes(&caused), "can't connect: refused");
    }
}
