//! The recorder: the one thread that records ballots, batch after batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use throng_domain::clock::Clock;
use throng_domain::store::{BallotStore, Outcome, Recorded, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug_span, error, warn};

use super::ballot_queue::{BallotQueue, CompletedBatch, Outcomes, PendingBatch};
use super::{BATCH_SPANS, BatchFailureLog, Disposition, SubmitError};
use crate::results::{LivePolls, SharedSnapshot};
use crate::telemetry::metrics::{BatchFailure, DatabaseLogMetrics, IntakeMetrics};

/// How often the store is maintained.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// Records the ballots of all cores.
#[derive(Debug)]
pub struct Recorder {
    /// The queues from which ballots are collected and to which their results are returned.
    pub ballot_queues: Vec<Arc<BallotQueue>>,
    /// The store that records the ballots.
    pub store: Arc<dyn BallotStore>,
    /// Where results are published, before the ballots' responses are sent.
    pub polls: Arc<LivePolls>,
    /// The time results are stamped with.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Arc<IntakeMetrics>,
    /// The metrics of the store's log.
    pub database_log: DatabaseLogMetrics,
    /// The log lines about batches that fail.
    pub failure_log: Arc<BatchFailureLog>,
    /// Whether the store was writable at the last attempt.
    pub writable: Arc<AtomicBool>,
    /// Cancelled when the recorder can't continue.
    pub failed: CancellationToken,
}

/// Stops the server when recording ends for any reason, including a panic, since nothing else records, and fails the waiting
/// ballots.
struct FailOnDrop<'a>(&'a Recorder);

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        self.0.failed.cancel();
        let mut left = PendingBatch::default();
        for ballot_queue in &self.0.ballot_queues {
            ballot_queue.close();
            ballot_queue.collect(&mut left);
        }
    }
}

/// Each ballot's outcome, and the results of their polls.
type BatchOutcomes = Result<(Vec<Outcome>, Arc<[SharedSnapshot]>), SubmitError>;

/// The running recorder.
#[derive(Debug)]
pub struct RecorderThread {
    thread: JoinHandle<Result<(), IntakeFailure>>,
    finish: CancellationToken,
}

impl RecorderThread {
    /// The thread to unpark when ballots are pending.
    pub fn thread(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Waits until the recorder has recorded what is left in the ballot queues, which must be closed.
    ///
    /// # Errors
    /// The failure that had ended it before.
    pub fn finish(self) -> Result<(), IntakeFailure> {
        self.finish.cancel();
        self.thread.thread().unpark();
        // A panic was logged when it happened.
        self.thread.join().unwrap_or(Err(IntakeFailure::Fault))
    }
}

/// Why intake ended before the shutdown.
#[derive(Debug, thiserror::Error)]
pub enum IntakeFailure {
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteFailure),
    /// The store's file was moved, deleted or replaced.
    #[error(
        "ballots can't be recorded any more, so this server has stopped: {why}. No ballot was reported as counted after \
         that. {rescued}"
    )]
    Displaced {
        /// How the file was displaced.
        why: String,
        /// The outcome for the ballots that only this process could still access, with advice.
        rescued: String,
    },
    /// A fault of Throng ended the recorder, or a core's dispatch or publish loop.
    #[error(
        "ballots can't be recorded any more, so this server has stopped: a fault in Throng, logged above. No ballot was \
         reported as counted that isn't durable. Start throng again, and report the fault"
    )]
    Fault,
}

/// A failed write, described for the operator.
#[derive(Debug, thiserror::Error)]
#[error(
    "ballots can't be recorded any more, so this server has stopped: {0}. No ballot was reported as counted that isn't \
     on the disk. See to the disk (its free space, its errors in `dmesg`), then start throng again: it recovers by itself"
)]
pub struct WriteFailure(StoreError);

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread can't be created.
    pub fn start(self) -> std::io::Result<RecorderThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let finish = CancellationToken::new();
        let finishing = finish.clone();
        let thread =
            thread::Builder::new().name("recorder".to_owned()).spawn(move || runtime.block_on(self.run(&finishing)))?;
        Ok(RecorderThread { thread, finish })
    }

    /// Records batch after batch until `finish` is cancelled.
    async fn run(self, finish: &CancellationToken) -> Result<(), IntakeFailure> {
        let mut batch = PendingBatch::default();
        let mut ends = Vec::with_capacity(self.ballot_queues.len());
        let mut maintained = Instant::now();
        let _end = FailOnDrop(&self);
        loop {
            if maintained.elapsed() >= MAINTAIN_EVERY {
                self.maintain().await?;
                maintained = Instant::now();
            }
            let finishing = finish.is_cancelled();
            ends.clear();
            ends.extend(self.ballot_queues.iter().map(|ballot_queue| ballot_queue.collect(&mut batch)));
            if batch.ballots.is_empty() {
                if finishing {
                    return Ok(());
                }
                // A ballot queue unparks this thread after a ballot is added, so none is missed.
                thread::park_timeout(MAINTAIN_EVERY);
                continue;
            }
            let recorded = self.record(&batch).await;
            let (outcomes, failure) = self.outcomes(recorded, batch.ballots.len());
            self.complete(&mut batch, &ends, outcomes);
            if let Some(failure) = failure {
                self.fail_waiting(batch);
                return Err(self.failed(failure).await);
            }
            // Cores that wait for this processor have responses to send and ballots to read for the next batch.
            thread::yield_now();
        }
    }

    /// # Errors
    /// Those after which nothing more may be recorded.
    async fn maintain(&self) -> Result<(), IntakeFailure> {
        let maintained = self.store.maintain().await;
        self.database_log.found(self.store.log_state());
        let was_writable = self.writable.swap(maintained.is_ok(), Ordering::Relaxed);
        match maintained {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => {
                if was_writable {
                    warn!(%error, "the store can't be written; ballots are refused until it can");
                }
                Ok(())
            }
            Err(error) => {
                error!(%error, "no more ballots can be recorded");
                // The waiting ballots are failed first: rescuing the recorded ones may take a while.
                self.fail_waiting(PendingBatch::default());
                Err(self.failed(error).await)
            }
        }
    }

    /// The failure that ends this server after `error`.
    async fn failed(&self, error: StoreError) -> IntakeFailure {
        let StoreError::Displaced(why) = error else { return WriteFailure(error).into() };
        let rescued = match self.store.rescue().await {
            Ok(None) => "Put it back, or set DATABASE_URL to where it is now, then start throng again".to_owned(),
            Ok(Some(place)) => format!(
                "The database's contents were saved to {place}: to continue with them, stop throng and run `throng restore \
                 {place}`"
            ),
            Err(error) => format!("The database's contents could not be saved: {error}"),
        };
        IntakeFailure::Displaced { why, rescued }
    }

    async fn record(&self, batch: &PendingBatch) -> Result<Recorded, StoreError> {
        let span = debug_span!(target: BATCH_SPANS, "record", ballots = batch.ballots.len());
        let started = Instant::now();
        let recorded = self.store.record(&batch.ballots).instrument(span).await;
        let refused = matches!(recorded, Err(StoreError::Unavailable(_)));
        if self.writable.load(Ordering::Relaxed) == refused {
            self.writable.store(!refused, Ordering::Relaxed);
        }
        match &recorded {
            Ok(recorded) => self.metrics.recorded(&recorded.outcomes, started.elapsed()),
            Err(error) => self.metrics.failed(BatchFailure::of(error)),
        }
        recorded
    }

    /// Publishes the new results and returns each ballot's outcome; beside it, the failure after which nothing more may be
    /// recorded.
    fn outcomes(&self, recorded: Result<Recorded, StoreError>, ballots: usize) -> (BatchOutcomes, Option<StoreError>) {
        match recorded {
            Ok(Recorded { outcomes, tallies }) => {
                let now = self.clock.now();
                let results = tallies.into_iter().map(|tallies| self.polls.publish(tallies, now)).collect();
                (Ok((outcomes, results)), None)
            }
            Err(error @ StoreError::Unavailable(_)) => {
                self.failure_log.log(BatchFailure::NotTaken, &error, ballots, self.clock.now());
                (Err(SubmitError::Unavailable), None)
            }
            Err(error @ StoreError::Unknown(_)) => {
                self.failure_log.log(BatchFailure::Unknown, &error, ballots, self.clock.now());
                (Err(SubmitError::Unknown), None)
            }
            Err(
                error @ (StoreError::Conflict(_)
                | StoreError::Rejected(_)
                | StoreError::WriteFailed(_)
                | StoreError::Displaced(_)
                | StoreError::Corrupt(_)),
            ) => {
                error!(%error, ballots, "a batch failed, its outcome is unknown");
                (Err(SubmitError::Unknown), Some(error))
            }
        }
    }

    /// Returns to each ballot queue its share of the batch. `ends` are the positions in the batch at which each queue's ballots
    /// end.
    fn complete(&self, batch: &mut PendingBatch, ends: &[usize], outcomes: BatchOutcomes) {
        let (outcomes, results) = match outcomes {
            Ok((outcomes, results)) => (outcomes, Ok(results)),
            Err(error) => (Vec::new(), Err(error)),
        };
        let mut responders = batch.responders.drain(..);
        let dispositions = outcomes.into_iter().map(Disposition::Recorded);
        let mut each = batch.ballots.drain(..).map(|ballot| ballot.poll).zip(dispositions);
        let mut from = 0;
        for (ballot_queue, to) in self.ballot_queues.iter().zip(ends) {
            let count = to - from;
            from = *to;
            if count == 0 {
                continue;
            }
            let responders = responders.by_ref().take(count).collect();
            let outcomes =
                results.clone().map(|results| Outcomes { each: each.by_ref().take(count).collect(), results });
            ballot_queue.complete(CompletedBatch { responders, outcomes });
        }
    }

    /// After a failed write: closes all queues, and fails the waiting ballots as not recorded.
    fn fail_waiting(&self, mut batch: PendingBatch) {
        for ballot_queue in &self.ballot_queues {
            ballot_queue.close();
            ballot_queue.collect(&mut batch);
            batch.ballots.clear();
            let responders = batch.responders.drain(..).collect();
            ballot_queue.complete(CompletedBatch { responders, outcomes: Err(SubmitError::Unavailable) });
        }
    }
}
