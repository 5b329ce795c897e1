//! The consumer: records the ballots that the queue delivers.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use throng_domain::ballot::Ballot;
use throng_domain::queue::{BallotConsumer, Delivery, DeliveryTag, QueueError};
use throng_domain::store::{BallotStore, Outcome, Store, StoreError};
use throng_domain::tally::Tallies;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span, info, warn};

use super::ResultBroadcaster;
use super::round_reporter::{KnownRound, RoundReporter};
use crate::intake::BATCH_SPANS;
use crate::telemetry::metrics::{BatchFailure, ConsumerMetrics};

/// The most ballots in one transaction, approximately: enough that the transaction's own cost is negligible.
const BALLOTS_MAX: usize = 5_000;

/// The number of ballots from which on a transaction is large.
const BALLOTS_MANY: usize = BALLOTS_MAX / 2;

/// The number of messages from which on it is large, however few ballots are in them: the broker delivers no more than about a
/// hundred unacknowledged messages.
const MESSAGES_MANY: usize = 50;

/// The time between the starts of transactions that aren't large. A transaction costs the database about as much for one ballot
/// as for a hundred, and where the web node shares the machine, that costs votes. The first ballot after a pause doesn't wait.
const TRANSACTION_EVERY: Duration = Duration::from_millis(10);

/// The interval at which the store is maintained, whatever else happens.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// The wait after the store's first failure; doubled after each further one.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// The longest wait: far below the time after which a broker requeues what a worker hasn't acknowledged.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Records ballots from the queue, over its own connections to the broker and to the store. A worker runs several consumers.
#[derive(Debug)]
pub struct Consumer {
    /// Delivers ballots from the queue.
    pub deliveries: Box<dyn BallotConsumer>,
    /// The store that records them.
    pub store: Arc<dyn Store>,
    /// Broadcasts the new tallies.
    pub broadcaster: Arc<ResultBroadcaster>,
    /// The last round that nodes have begun: see [`watch_rounds`](super::watch_rounds).
    pub rounds: watch::Receiver<KnownRound>,
    /// The metrics.
    pub metrics: ConsumerMetrics,
    /// Cancelled when the worker is to stop.
    pub stop: CancellationToken,
}

/// Why a consumer ended without being stopped.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store can't be used. What wasn't recorded is still on the queue.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Consumer {
    /// Records until stopped. A transaction that has begun is finished, unless the store is unavailable; the remaining ballots
    /// stay on the queue.
    ///
    /// # Errors
    /// Those that only an operator can resolve.
    pub async fn run(self) -> Result<(), ConsumerError> {
        let Self { mut deliveries, store, broadcaster, rounds, metrics, stop } = self;
        let mut reporter = RoundReporter::new(Arc::<dyn Store>::clone(&store), rounds);
        let mut recorder = RetryingStore { store, metrics, stop, maintained: Instant::now() };
        loop {
            let receive = async {
                reporter.advance(&mut *deliveries).await?;
                deliveries.prepare().await;
                tokio::select! {
                    biased;
                    delivered = deliveries.next(BALLOTS_MAX) => Ok(delivered?),
                    () = reporter.due() => Ok::<_, ConsumerError>(Vec::new()),
                }
            };
            let Some(delivered) = recorder.keep_up_during(receive).await? else { return Ok(()) };
            let (tags, ballots) = merge(delivered?);
            if tags.is_empty() {
                continue;
            }
            recorder.metrics.taken(&ballots);
            let began = Instant::now();
            // The tallies are broadcast before the acknowledgement: a late result is worse than a redelivery.
            let broadcast = |tallies| broadcaster.enqueue(tallies);
            let Some(outcomes) = recorder.record(&ballots, broadcast).await? else { return Ok(()) };
            log_uncounted(&ballots, &outcomes);
            deliveries.done(&tags).await?;
            if !is_large(&tags, &ballots) {
                let Some(()) = recorder.keep_up_during(sleep_until(began + TRANSACTION_EVERY)).await? else {
                    return Ok(());
                };
            }
        }
    }
}

/// The store, with the work that is done while waiting for it or for the queue.
struct RetryingStore {
    store: Arc<dyn BallotStore>,
    metrics: ConsumerMetrics,
    stop: CancellationToken,
    /// When the store was last maintained.
    maintained: Instant,
}

impl RetryingStore {
    /// Runs `work`, and maintains the store meanwhile; `None` if stopped.
    async fn keep_up_during<T>(&mut self, work: impl Future<Output = T>) -> Result<Option<T>, StoreError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                // Before the work, which may complete immediately every time.
                () = sleep_until(self.maintained + MAINTAIN_EVERY) => {
                    self.maintain().await?;
                    self.maintained = Instant::now();
                }
                done = &mut work => return Ok(Some(done)),
            }
        }
    }

    /// After an error that may pass, it is tried again the next time.
    async fn maintain(&self) -> Result<(), StoreError> {
        match self.store.maintain().await {
            Err(error) if error.is_retryable() => Ok(()),
            done => done,
        }
    }

    /// Records the batch, however long the store is unavailable, and passes each commit's tallies to `broadcast`; `None` if stopped
    /// meanwhile. After an unknown outcome the batch is recorded again, which changes nothing if it was recorded before. So is a ballot for which the
    /// store isn't ready: it must not be acknowledged.
    async fn record(
        &mut self,
        ballots: &[Ballot],
        broadcast: impl Fn(Vec<Tallies>),
    ) -> Result<Option<Vec<Outcome>>, StoreError> {
        let mut outcomes = vec![Outcome::NotReady; ballots.len()];
        let mut wait = RETRY_FIRST;
        loop {
            let left: Vec<usize> = (0..ballots.len()).filter(|at| outcomes[*at] == Outcome::NotReady).collect();
            let batch: Cow<'_, [Ballot]> = if left.len() == ballots.len() {
                ballots.into()
            } else {
                left.iter().map(|at| ballots[*at].clone()).collect()
            };
            let span = debug_span!(target: BATCH_SPANS, "record", ballots = batch.len());
            let started = Instant::now();
            let error = match self.store.record(&batch).instrument(span).await {
                Ok(recorded) => {
                    self.metrics.recorded(&recorded.outcomes, started.elapsed());
                    broadcast(recorded.tallies);
                    left.into_iter().zip(recorded.outcomes).for_each(|(at, outcome)| outcomes[at] = outcome);
                    if !outcomes.contains(&Outcome::NotReady) {
                        return Ok(Some(outcomes));
                    }
                    StoreError::Unavailable("it is still reading the voters of a poll".into())
                }
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            self.metrics.failed(BatchFailure::of(&error));
            warn!(%error, ballots = ballots.len(), "a batch is kept, and recorded once the store is back");
            let Some(()) = self.keep_up_during(sleep(wait)).await? else { return Ok(None) };
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Whether the next transaction begins at once, since there may be a backlog.
fn is_large(messages: &[DeliveryTag], ballots: &[Ballot]) -> bool {
    messages.len() >= MESSAGES_MANY || ballots.len() >= BALLOTS_MANY
}

/// Logs how many ballots were accepted and don't count, one line per reason: somebody may send a great many. Each is in the log at
/// the level `debug`.
fn log_uncounted(ballots: &[Ballot], outcomes: &[Outcome]) {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for (ballot, outcome) in ballots.iter().zip(outcomes) {
        let why = match outcome {
            Outcome::Counted | Outcome::CountedBefore | Outcome::Outdated => continue,
            Outcome::IdReused => "another ballot has its id",
            Outcome::QuotaUsed { .. } => "the voter has cast as many ballots as the poll allows",
            Outcome::OptionQuotaUsed(_) => "the voter has chosen one of its options as often as the poll allows",
            Outcome::NotChangeable => "the voter has changed it as often as is recorded",
            Outcome::TooEarly => "the poll wasn't open",
            Outcome::TooLate => "the poll was closed",
            Outcome::NotReady => continue,
        };
        debug!(ballot = %ballot.id, poll = ballot.poll.0, why, "an accepted ballot doesn't count");
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, ballots)) => *ballots += 1,
            None => reasons.push((why, 1)),
        }
    }
    for (why, ballots) in reasons {
        info!(ballots, why, "accepted ballots don't count");
    }
}

/// All ballots of these deliveries, as one batch.
fn merge(deliveries: Vec<Delivery>) -> (Vec<DeliveryTag>, Vec<Ballot>) {
    let mut ballots = Vec::with_capacity(deliveries.iter().map(|delivery| delivery.ballots.len()).sum());
    let tags = deliveries.into_iter().map(|delivery| {
        ballots.extend(delivery.ballots);
        delivery.tag
    });
    (tags.collect(), ballots)
}

#[cfg(test)]
mod tests {
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::ballot::{BallotId, Choices, VoterKey};
    use throng_domain::clock::{Clock, SystemClock, Timestamp};
    use throng_domain::new_poll::NewPoll;
    use throng_domain::policy::Policy;
    use throng_domain::poll::{OptionId, PollId};
    use throng_domain::store::{PollStore as _, Schema as _};
    use uuid::Uuid;

    use super::*;
    use crate::telemetry::metrics::WorkerMetrics;

    #[tokio::test]
    async fn ballots_wait_until_the_store_has_read_its_voters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("throng.db");
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        let demo = NewPoll::demo("demo".parse().unwrap(), Timestamp(0));
        let poll = store.create_poll(NewPoll { policy: Policy::Device, ..demo }, &Author::THRONG).await.unwrap().id;
        let ballot = |voter: u16| {
            let mut key = [0; 15];
            key[..2].copy_from_slice(&voter.to_le_bytes());
            let (id, choices) = (BallotId(Uuid::from_u128(voter.into())), Choices::new([OptionId(1)]).unwrap());
            Ballot::of_voter(poll, Policy::Device, VoterKey(key), id, choices, Timestamp(1))
        };
        // More than a store reads at once.
        let voters: Vec<_> = (0..20_000).map(ballot).collect();
        store.record(&voters).await.unwrap();
        drop(store);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut reopened = RetryingStore {
            store: Arc::new(SqliteStore::open(&path).unwrap()),
            metrics: WorkerMetrics::new(&clock).consumer(),
            stop: CancellationToken::new(),
            maintained: Instant::now(),
        };
        let outcomes = reopened.record(&[ballot(20_000), ballot(7)], drop).await.unwrap().unwrap();
        assert_eq!(outcomes, [Outcome::Counted, Outcome::CountedBefore]);
    }

    #[test]
    fn backlog_is_not_delayed() {
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(Uuid::nil()), choices, Timestamp(0));
        let is_large = |messages: usize, ballots: usize| {
            let tags: Vec<_> = (0..messages).map(|_| DeliveryTag { generation: 1, number: 1 }).collect();
            is_large(&tags, &vec![ballot.clone(); ballots])
        };
        // Ten milliseconds of 64 clients.
        assert!(!is_large(23, 300));
        assert!(is_large(128, 128) && is_large(5, 5_000));
    }
}
