//! A consumer: records the ballots that the queue delivers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use throng_domain::ballot::Ballot;
use throng_domain::queue::{BallotConsumer, Delivery, DeliveryTag, QueueError};
use throng_domain::store::{Outcome, Recorded, Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug_span, info, warn};

use super::ResultBroadcaster;
use super::answering::{Answering, KnownRound};
use crate::intake::BATCH_SPANS;
use crate::metrics::{BatchFailure, ConsumerMetrics};

/// The ballots in one transaction, at about which it is full: enough that its own cost doesn't count.
const BALLOTS_MAX: usize = 5_000;

/// The ballots that make a transaction large.
const BALLOTS_MANY: usize = BALLOTS_MAX / 2;

/// The messages that make it large, however few ballots are in them: the broker delivers no more than a hundred or so
/// unacknowledged ones.
const MESSAGES_MANY: usize = 50;

/// The time between the beginnings of transactions that aren't large. One costs the database about as much for one ballot as
/// for a hundred, and where the web node shares the machine, that costs votes. The first ballot after a pause doesn't wait.
const TRANSACTION_EVERY: Duration = Duration::from_millis(10);

/// How often the store is maintained, whatever else happens.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// The wait after the store's first failure; twice as long after each further one.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// The longest wait: far below the time after which a broker takes back what a worker hasn't acknowledged.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Records ballots of the queue, over connections of its own to the broker and to the store. A worker runs several.
#[derive(Debug)]
pub struct Consumer {
    /// Where ballots come from.
    pub deliveries: Box<dyn BallotConsumer>,
    /// Where they are recorded.
    pub store: Arc<dyn Store>,
    /// Where the new tallies go.
    pub broadcaster: Arc<ResultBroadcaster>,
    /// The number of the last round that nodes have begun: see [`watch_rounds`](super::watch_rounds).
    pub rounds: watch::Receiver<KnownRound>,
    /// What is measured.
    pub metrics: ConsumerMetrics,
    /// Cancelled when the worker is to stop.
    pub stop: CancellationToken,
}

/// Why a consumer ended by itself.
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
    /// Records until stopped. A transaction that was begun is finished, unless the store is away; the rest stays on the queue.
    ///
    /// # Errors
    /// What only an operator can resolve.
    pub async fn run(self) -> Result<(), ConsumerError> {
        let Self { mut deliveries, store, broadcaster, rounds, metrics, stop } = self;
        let mut answering = Answering::new(Arc::clone(&store), rounds);
        let mut recorder = RetryingStore { store, metrics, stop, maintained: Instant::now() };
        loop {
            let taking = async {
                answering.go_on(&mut *deliveries).await?;
                deliveries.prepare().await;
                tokio::select! {
                    biased;
                    delivered = deliveries.next(BALLOTS_MAX) => Ok(delivered?),
                    () = answering.due() => Ok::<_, ConsumerError>(Vec::new()),
                }
            };
            let Some(delivered) = recorder.keep_up_during(taking).await? else { return Ok(()) };
            let (tags, ballots) = merge(delivered?);
            if tags.is_empty() {
                continue;
            }
            recorder.metrics.taken(&ballots);
            let began = Instant::now();
            let Some(recorded) = recorder.record(&ballots).await? else { return Ok(()) };
            name_uncounted(&ballots, &recorded.outcomes);
            // First the tallies, then the acknowledgement: a late result is worse than a redelivery.
            broadcaster.enqueue(recorded.tallies);
            deliveries.done(&tags).await?;
            if !is_large(&tags, &ballots) {
                let Some(()) = recorder.keep_up_during(sleep_until(began + TRANSACTION_EVERY)).await? else {
                    return Ok(());
                };
            }
        }
    }
}

/// The store, with what is done while it, or the queue, is waited for.
struct RetryingStore {
    store: Arc<dyn Store>,
    metrics: ConsumerMetrics,
    stop: CancellationToken,
    /// When the store was maintained last.
    maintained: Instant,
}

impl RetryingStore {
    /// Does `work`, and maintains the store meanwhile; `None` if stopped.
    async fn keep_up_during<T>(&mut self, work: impl Future<Output = T>) -> Result<Option<T>, StoreError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                // Before the work, which may always be done at once.
                () = sleep_until(self.maintained + MAINTAIN_EVERY) => {
                    self.maintain().await?;
                    self.maintained = Instant::now();
                }
                done = &mut work => return Ok(Some(done)),
            }
        }
    }

    /// An error that may pass leaves it for the next time.
    async fn maintain(&self) -> Result<(), StoreError> {
        match self.store.maintain().await {
            Err(error) if error.may_pass() => Ok(()),
            done => done,
        }
    }

    /// Records the batch, however long the store is away; `None` if stopped meanwhile. After an unknown outcome the batch is
    /// recorded again, which changes nothing if it was there.
    async fn record(&mut self, ballots: &[Ballot]) -> Result<Option<Recorded>, StoreError> {
        let mut wait = RETRY_FIRST;
        loop {
            let span = debug_span!(target: BATCH_SPANS, "record", ballots = ballots.len());
            let started = Instant::now();
            let error = match self.store.record(ballots).instrument(span).await {
                Ok(recorded) => {
                    self.metrics.recorded(&recorded.outcomes, started.elapsed());
                    return Ok(Some(recorded));
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error),
            };
            self.metrics.failed(BatchFailure::of(&error));
            warn!(%error, ballots = ballots.len(), "a batch is kept, and recorded once the store is back");
            let Some(()) = self.keep_up_during(sleep(wait)).await? else { return Ok(None) };
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Whether the next transaction begins at once, as there may be a backlog.
fn is_large(messages: &[DeliveryTag], ballots: &[Ballot]) -> bool {
    messages.len() >= MESSAGES_MANY || ballots.len() >= BALLOTS_MANY
}

/// Logs the ballots that were accepted and don't count.
fn name_uncounted(ballots: &[Ballot], outcomes: &[Outcome]) {
    for (ballot, outcome) in ballots.iter().zip(outcomes) {
        let why = match outcome {
            Outcome::Counted | Outcome::CountedBefore => continue,
            Outcome::KeyTaken { .. } => "another ballot has its key",
            Outcome::TooEarly => "the poll wasn't open",
            Outcome::TooLate => "the poll was closed",
        };
        info!(ballot = %ballot.id, poll = ballot.poll.0, why, "an accepted ballot doesn't count");
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
    use throng_domain::ballot::{BallotId, Choices};
    use throng_domain::clock::Timestamp;
    use throng_domain::poll::{OptionId, PollId};

    use super::*;

    #[test]
    fn a_backlog_isnt_held_whether_its_messages_are_full_or_have_a_ballot_each() {
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(uuid::Uuid::nil()), choices, Timestamp(0));
        let is_large = |messages: usize, ballots: usize| {
            let tags: Vec<_> = (0..messages).map(|_| DeliveryTag { generation: 1, number: 1 }).collect();
            is_large(&tags, &vec![ballot.clone(); ballots])
        };
        // A crowd of 64, ten milliseconds of it.
        assert!(!is_large(23, 300));
        assert!(is_large(128, 128) && is_large(5, 5_000));
    }
}
