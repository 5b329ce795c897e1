//! The whole server, wired: the only place where parts are put together.

mod awake;
mod clock_watch;
mod database_clock;
mod ends;
mod entrance;
mod parts;
mod rounds;
mod server;
mod start;
mod startup_wait;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use throng_backends::queue::rabbitmq::Messages;
use throng_domain::ballot::BallotId;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::queue::Publisher;
use throng_domain::store::StoreError;
use tokio_util::sync::CancellationToken;

pub use self::database_clock::CLOCK_SKEW_MAX_MS;
pub use self::parts::{
    BROKER_WATCH, Broker, Parts, cant_use, create_demo_poll, open_cache, open_database, refuse_lossy, watch_broker,
};
pub use self::server::Server;
pub use self::startup_wait::{StartupWait, with_causes};
use crate::config::Config;
use crate::http::{Problem, ReceiptKey};
use crate::intake::{BallotIds, BallotQueue};
use crate::metrics::{HttpMetrics, Metrics};
use crate::results::{LivePoll, LivePolls, Origin};
use crate::serve::Shutdown;

/// For how long a result is shown without looking for ballots that other servers recorded, in milliseconds.
const OTHERS_FRESH_MS: i64 = 250;

/// What all cores share.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The time by which polls are judged.
    pub clock: Arc<dyn Clock>,
    /// Where polls are kept, and results that this process doesn't know.
    pub origin: Origin,
    /// The polls served, with their results.
    pub polls: Arc<LivePolls>,
    /// Signs what browsers get for a vote sent by the page's form.
    pub receipts: ReceiptKey,
    /// What is measured.
    pub metrics: Metrics,
    /// The end, in steps.
    pub shutdown: Arc<Shutdown>,
    /// Cancelled when ballots can't be recorded any more.
    pub intake_failed: CancellationToken,
    /// Whether the store could be written when this process last tried.
    pub writable: Arc<AtomicBool>,
    behind_broker: bool,
    /// What the broker's queues held when it was last asked, if it told.
    queues: Mutex<Option<Messages>>,
    /// Shared by all cores, so that their ids ascend together: the index that they go to grows at its end.
    ballot_ids: Mutex<BallotIds>,
}

impl App {
    /// Whether others record the ballots that are taken here.
    pub fn is_behind_broker(&self) -> bool {
        self.behind_broker
    }

    /// What the broker's queues held when it was last asked, if it told.
    fn queues(&self) -> Option<Messages> {
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_queues(&self, messages: Option<Messages>) {
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner) = messages;
    }

    /// An id for a ballot that came without one.
    pub fn next_ballot_id(&self, now: Timestamp) -> BallotId {
        self.ballot_ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }

    /// Whether every result here is exact at any moment: this process alone counts.
    pub fn is_exact(&self) -> bool {
        !self.is_behind_broker() && !self.config.database.is_shared()
    }

    /// The age at which a result is called stale, in milliseconds; none where this process alone counts, whose results are
    /// exact. A result that has just come to the age at which it is asked for anew is being asked for, so there is a second
    /// more.
    pub fn age_max_ms(&self) -> Option<i64> {
        (!self.is_exact()).then(|| self.fresh_ms().saturating_add(1_000))
    }

    /// Sees that who reads a poll's result at `now` doesn't get an older one than was promised, if the store can be asked.
    /// Where this process alone counts, its results are exact. Where workers count, it hears of every change, and what is
    /// older than `CACHE_LIFE_TIME` is asked for, once for all readers; with 0, for each of them. Where other servers record in
    /// the same database, theirs are asked for a few times a second.
    ///
    /// # Errors
    /// Those of the store, where each reader asks it.
    pub async fn freshen(&self, live: &LivePoll, now: Timestamp) -> Result<(), StoreError> {
        if self.is_exact() {
            return Ok(());
        }
        if self.fresh_ms() == 0 {
            return self.polls.read_through(live.poll.id, &self.origin).await;
        }
        if live.is_older_than(self.fresh_ms(), now) {
            self.polls.renew(live).await;
        }
        Ok(())
    }

    /// For how long a result is shown without asking for a later one, in milliseconds.
    fn fresh_ms(&self) -> i64 {
        if self.is_behind_broker() { i64::try_from(self.origin.life_ms).unwrap_or(i64::MAX) } else { OTHERS_FRESH_MS }
    }
}

/// What one core has to itself, beside what all share.
#[derive(Debug)]
pub struct CoreState {
    /// What all share.
    pub app: Arc<App>,
    /// Where this core's ballots wait.
    pub ballot_queue: Arc<BallotQueue>,
    /// What this core's HTTP measures.
    pub metrics: Arc<HttpMetrics>,
    /// Where this core's ballots go that workers record; none where this process records them itself.
    pub publisher: Option<Arc<dyn Publisher>>,
}

impl CoreState {
    /// Measures that a ballot is refused.
    pub fn refused(&self, problem: &Problem) {
        self.metrics.ballot_refused(problem.code());
    }
}
