//! The clock of the database's server, by which all judge that share the database.
//!
//! By its own clock, a node that is an hour ahead would refuse ballots that came in time, and one that is behind would take
//! them after the close. So each node asks the database for the time, every second, and lets it pass in between by what
//! doesn't change when the machine's clock is set. That clock is only compared, and the log tells when it is wrong.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::{Asked, Clock, RemoteClock, SteadyClock, SystemClock};
use throng_domain::store::{Database, StoreError};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

/// How far a machine's clock may be from its database's, in milliseconds, before that is told. Two that are so far off, each
/// to its side, leave `throng poll close` time enough to be heard of.
pub const CLOCK_SKEW_MAX_MS: i64 = 300;

/// How often the database is asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// How often it is told that the machine's clock is wrong.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A database's clock, and whom to ask for it.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    database: Arc<dyn Database>,
    clock: Arc<SteadyClock<RemoteClock>>,
}

impl DatabaseClock {
    /// The clock of this database's server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn start(database: Arc<dyn Database>) -> Result<Self, StoreError> {
        let asked = Asked::now();
        let clock = RemoteClock::new(asked, database.now().await?);
        let this = Self { database, clock: Arc::new(SteadyClock::over(clock)) };
        // The first answer may have taken longer, for its connection.
        this.ask().await?;
        Ok(this)
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Follows it, and tells when this machine's is wrong. While the database is away, time goes on.
    pub async fn keep_following(&self) -> Infallible {
        let mut tick = tokio::time::interval(ASKED_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            if self.ask().await.is_ok() {
                self.tell_skew(&mut told);
            }
            tick.tick().await;
        }
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let asked = Asked::now();
        let there = self.database.now().await?;
        self.clock.source().follow(asked, there);
        Ok(())
    }

    /// `told` is when it was told that the clocks differ, if it was since they last agreed.
    fn tell_skew(&self, told: &mut Option<Instant>) {
        let ahead_ms = SystemClock.now().0.saturating_sub(self.clock.source().now().0);
        if ahead_ms.saturating_abs() <= CLOCK_SKEW_MAX_MS {
            if told.take().is_some() {
                info!("this machine's clock agrees with the database's again");
            }
        } else if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            warn!(
                ahead_ms,
                "this machine's clock is not the database's, by which polls open and close; run NTP on both, and see \
                 `throng doctor`"
            );
        }
    }
}
