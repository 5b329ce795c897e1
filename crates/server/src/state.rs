//! The state of a server that its routes and its parts share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use throng_domain::ballot::BallotId;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::queue::{Messages, Publisher};
use throng_domain::store::StoreError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::AdminAccess;
use crate::anomaly::{AnomalyMonitor, VoteBuffer};
use crate::config::{Config, DerivedKey, TokenKeys};
use crate::intake::{BallotIds, BallotQueue, CodeChecks, NetworkLimit};
use crate::net::Shutdown;
use crate::results::{LivePoll, LivePolls, LiveShows, ResultSource};
use crate::telemetry::metrics::{HttpMetrics, Metrics};
use crate::webhooks::WebhookSender;

/// For how long a result is shown without a check for ballots that other servers recorded, in milliseconds.
const OTHERS_FRESH_MS: i64 = 250;

/// How many ballots are looked up in the store at once, of each kind: votes need its connections more.
const LOOK_UPS_MAX: usize = 4;

/// How many exports are sent at once: each reads the whole of a poll.
pub(crate) const EXPORTS_MAX: usize = 2;

/// Permits to look up ballots in the store. Those who only ask don't keep voters from withdrawing.
#[derive(Debug)]
pub(crate) struct LookUps {
    pub(crate) standings: Semaphore,
    pub(crate) withdrawals: Semaphore,
}

impl Default for LookUps {
    fn default() -> Self {
        Self { standings: Semaphore::new(LOOK_UPS_MAX), withdrawals: Semaphore::new(LOOK_UPS_MAX) }
    }
}

/// The state that all cores share.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The clock by which polls open and close.
    pub clock: Arc<dyn Clock>,
    /// The source of polls, and of results that this process doesn't have.
    pub source: ResultSource,
    /// The shows served.
    pub shows: LiveShows,
    /// The polls served, with their results.
    pub polls: Arc<LivePolls>,
    /// Signs the receipt that a browser gets for a vote sent by the page's form.
    pub receipt_key: DerivedKey,
    /// Signs the receipts of ballots.
    pub ballot_receipt_key: DerivedKey,
    /// Signs the closing records of polls.
    pub record_key: DerivedKey,
    /// Signs the passes for rehearsals.
    pub rehearsal_key: DerivedKey,
    /// Makes the pseudonyms of voters, and signs their devices' tokens.
    pub policy_key: DerivedKey,
    /// Verify the tokens by which a publisher names its users; `None` if there are none.
    pub token_keys: Option<TokenKeys>,
    /// Signs the challenges for proofs of work.
    pub challenge_key: DerivedKey,
    /// Limits the votes of each network; `None` without a limit.
    pub network_limit: Option<NetworkLimit>,
    /// Checks invitation codes.
    pub code_checks: CodeChecks,
    /// Recognizes the tokens of those who administer polls.
    pub access: AdminAccess,
    /// Sends messages to webhooks.
    pub webhooks: WebhookSender,
    /// The anomaly scores of polls.
    pub anomalies: AnomalyMonitor,
    /// The metrics.
    pub metrics: Metrics,
    /// The shutdown, in steps.
    pub shutdown: Arc<Shutdown>,
    /// Cancelled when ballots can't be recorded any more.
    pub intake_failed: CancellationToken,
    /// Whether the store could be written when this process last tried.
    pub writable: Arc<AtomicBool>,
    /// Whether workers record the ballots that this process accepts.
    pub(crate) behind_broker: bool,
    /// The messages on the broker's queues at the last check, if it succeeded.
    pub(crate) queues: Mutex<Option<Messages>>,
    /// Shared by all cores, so that ids ascend across cores and the index that stores them grows at its end.
    pub(crate) ballot_ids: Mutex<BallotIds>,
    /// The permit to count a poll's ballots over HTTP.
    pub(crate) recounts: Semaphore,
    /// Permits to export ballots over HTTP.
    pub(crate) exports: Arc<Semaphore>,
    /// Permits to look up in the store what became of a ballot.
    pub(crate) look_ups: LookUps,
}

impl App {
    /// Whether workers record the ballots that this process accepts.
    pub fn is_behind_broker(&self) -> bool {
        self.behind_broker
    }

    /// The messages on the broker's queues at the last check, if it succeeded.
    pub(crate) fn queues(&self) -> Option<Messages> {
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_queues(&self, messages: Option<Messages>) {
        *self.queues.lock().unwrap_or_else(PoisonError::into_inner) = messages;
    }

    /// An id for a ballot that was sent without one.
    pub fn next_ballot_id(&self, now: Timestamp) -> BallotId {
        self.ballot_ids.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }

    /// Whether every result here is exact at all times, since only this process records ballots.
    pub fn is_exact(&self) -> bool {
        !self.is_behind_broker() && !self.config.database.is_shared()
    }

    /// The age above which a result is marked stale, in milliseconds; none where only this process records ballots, since its
    /// results are exact. One second above the age at which a result is refreshed, since a result that has just reached that
    /// age is being refreshed.
    pub fn age_max_ms(&self) -> Option<i64> {
        (!self.is_exact()).then(|| self.fresh_ms().saturating_add(1_000))
    }

    /// Refreshes a poll's result if, at `now`, it is older than its maximum age and the store is available. Where only this
    /// process records ballots, its results are exact. Where workers record, this process receives every change, and a result
    /// older than `CACHE_LIFE_TIME` is refreshed, once for all readers; with 0, for each reader. Where other servers record in
    /// the same database, results are refreshed a few times a second.
    ///
    /// # Errors
    /// Those of the store, where each reader queries it.
    pub async fn refresh_result(&self, live: &LivePoll, now: Timestamp) -> Result<(), StoreError> {
        if self.is_exact() {
            return Ok(());
        }
        if self.fresh_ms() == 0 {
            return self.polls.read_now(live.poll.id, &self.source).await;
        }
        if live.is_older_than(self.fresh_ms(), now) {
            self.polls.refresh_result(live).await;
        }
        Ok(())
    }

    /// Tabulates a result that has more than the options' counts, if that wasn't done since it changed.
    ///
    /// # Errors
    /// Those of the store, if it never was.
    pub async fn tabulate(&self, live: &LivePoll) -> Result<(), StoreError> {
        live.tabulate(&self.source, (!self.is_exact()).then(|| self.fresh_ms())).await
    }

    /// For how long a result is shown without being refreshed, in milliseconds.
    fn fresh_ms(&self) -> i64 {
        if self.is_behind_broker() { i64::try_from(self.source.life_ms).unwrap_or(i64::MAX) } else { OTHERS_FRESH_MS }
    }
}

/// The state of one core, beside the shared state.
#[derive(Debug)]
pub struct CoreState {
    /// The shared state.
    pub app: Arc<App>,
    /// The queue of this core's ballots.
    pub ballot_queue: Arc<BallotQueue>,
    /// Where this core notes the votes that are scored.
    pub votes_noted: Arc<VoteBuffer>,
    /// The HTTP metrics of this core.
    pub metrics: Arc<HttpMetrics>,
    /// Publishes this core's ballots for workers; none where this process records them itself.
    pub publisher: Option<Arc<dyn Publisher>>,
}

/// A dependency without which a server or a worker can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// The database.
    Store,
    /// The broker.
    Queue,
}

impl Dependency {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "the database",
            Self::Queue => "the broker",
        }
    }
}
