//! The clock of the database's server, by which polls open and close on every node that shares the database.
//!
//! By its own clock, a node that is an hour ahead would reject ballots that arrived in time, and one that is behind would
//! accept them after the close. So each node queries the database for the time every second, and in between measures the time
//! by a clock that doesn't change when the machine's clock is set. The machine's clock is only compared, and a difference is
//! logged.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::{Asked, Clock, RemoteClock, SteadyClock, SystemClock};
use throng_domain::store::{Database, StoreError};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

/// How far a machine's clock may be from its database's, in milliseconds, before that is logged. If two nodes' clocks are this
/// far off in opposite directions, `throng poll close` still leaves enough time for every node to receive the close.
pub const CLOCK_SKEW_MAX_MS: i64 = 300;

/// The interval between queries of the database's time.
const QUERY_EVERY: Duration = Duration::from_secs(1);

/// The shortest time between two log lines about a wrong machine clock.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A database's clock, and the database to query for it.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    database: Arc<dyn Database>,
    clock: Arc<SteadyClock<RemoteClock>>,
}

impl DatabaseClock {
    /// Reads the clock of this database's server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn start(database: Arc<dyn Database>) -> Result<Self, StoreError> {
        let asked = Asked::now();
        let clock = RemoteClock::new(asked, database.now().await?);
        let this = Self { database, clock: Arc::new(SteadyClock::over(clock)) };
        // The first query may have taken longer, since it had to connect.
        this.query().await?;
        Ok(this)
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Follows the database's clock, and logs when this machine's clock is wrong. While the database is unavailable, the time
    /// continues.
    pub async fn keep_following(&self) -> Infallible {
        let mut tick = tokio::time::interval(QUERY_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = None;
        loop {
            if self.query().await.is_ok() {
                self.log_skew(&mut logged);
            }
            tick.tick().await;
        }
    }

    async fn query(&self) -> Result<(), StoreError> {
        let asked = Asked::now();
        let database_time = self.database.now().await?;
        self.clock.source().follow(asked, database_time);
        Ok(())
    }

    /// `logged` is when a difference was last logged, if one was since the clocks last agreed.
    fn log_skew(&self, logged: &mut Option<Instant>) {
        let ahead_ms = SystemClock.now().0.saturating_sub(self.clock.source().now().0);
        if ahead_ms.saturating_abs() <= CLOCK_SKEW_MAX_MS {
            if logged.take().is_some() {
                info!("this machine's clock agrees with the database's again");
            }
        } else if logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            warn!(
                ahead_ms,
                "this machine's clock is not the database's, by which polls open and close; run NTP on both, and see \
                 `throng doctor`"
            );
        }
    }
}
