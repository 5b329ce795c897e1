//! The publish loop: publishes one core's ballots to the broker, batch after batch.

use std::pin::pin;
use std::sync::Arc;

use throng_domain::ballot::Ballot;
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::queue::{Publisher, QueueError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument as _, debug_span};

use super::ballot_queue::{BallotQueue, CompletedBatch, Outcomes, PendingBatch};
use super::{BATCH_SPANS, BatchFailureLog, Disposition, SubmitError};
use crate::results::LivePolls;
use crate::telemetry::metrics::{BatchFailure, IntakeMetrics};

/// The most ballots in one message. More would make the broker and the workers wait for large messages; with fewer, the
/// cost of a message itself would matter.
const BATCH_BALLOTS_MAX: usize = 1_000;

/// The most unconfirmed messages per core: while some wait for the broker's disks, the next one is sent. More would only make
/// the messages smaller.
const IN_FLIGHT_MAX: usize = 3;

/// A ballot gets a 2xx response only if the broker has confirmed it within this time after it arrived, in milliseconds: well
/// above the deadline of a confirm.
pub const CONFIRMED_WITHIN_MS: i64 = 30_000;

/// Publishes the ballots of one core.
#[derive(Debug)]
pub struct PublishLoop {
    /// The queue from which ballots are collected and to which their results are returned.
    pub ballot_queue: Arc<BallotQueue>,
    /// Publishes the ballots.
    pub publisher: Arc<dyn Publisher>,
    /// The polls' results, sent along with each ballot's.
    pub polls: Arc<LivePolls>,
    /// The metrics.
    pub metrics: Arc<IntakeMetrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The log lines about batches that fail.
    pub failure_log: Arc<BatchFailureLog>,
}

impl PublishLoop {
    /// Publishes the queue's ballots until `ended` completes, then the remaining ones, whose clients have disconnected. Must
    /// run on the queue's own core. No timer: a batch is what arrived while the messages before it were unconfirmed.
    pub async fn run_until(self: Arc<Self>, ended: impl Future<Output = ()>) {
        let mut ended = pin!(ended);
        let mut in_flight = JoinSet::new();
        loop {
            let messages = in_flight.len();
            tokio::select! {
                biased;
                Some(published) = in_flight.join_next() => self.complete(published),
                () = &mut ended => break,
                batch = self.batch(messages == 0), if messages < IN_FLIGHT_MAX => {
                    self.send(batch, &mut in_flight);
                }
            }
        }
        self.ballot_queue.close();
        loop {
            while in_flight.len() < IN_FLIGHT_MAX
                && let Some(batch) = self.ballot_queue.take(BATCH_BALLOTS_MAX)
            {
                self.send(batch, &mut in_flight);
            }
            let Some(published) = in_flight.join_next().await else { break };
            self.complete(published);
        }
        self.publisher.close().await;
    }

    /// The next batch. While messages are unconfirmed, responses, and with them new ballots, come in batches too, so it pays to
    /// wait for the ballots of the same turns; without unconfirmed messages the batch is sent `at_once`. Dropping the future
    /// loses nothing.
    async fn batch(&self, at_once: bool) -> PendingBatch {
        loop {
            if !at_once {
                self.ballot_queue.gather(1).await;
            }
            if let Some(batch) = self.ballot_queue.take(BATCH_BALLOTS_MAX) {
                return batch;
            }
            self.ballot_queue.wakeup().await;
        }
    }

    fn send(self: &Arc<Self>, batch: PendingBatch, in_flight: &mut JoinSet<CompletedBatch>) {
        let publish_loop = Arc::clone(self);
        in_flight.spawn(async move { publish_loop.publish(batch).await });
    }

    fn complete(&self, published: Result<CompletedBatch, JoinError>) {
        match published {
            Ok(completed) => self.ballot_queue.respond(completed),
            // Its ballots' outcome was reported as unknown when it was dropped; without its publish loop a core accepts no
            // votes.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn publish(&self, PendingBatch { ballots, responders }: PendingBatch) -> CompletedBatch {
        let span = debug_span!(target: BATCH_SPANS, "publish", ballots = ballots.len());
        let started = Instant::now();
        let published = self.publisher.publish(&ballots).instrument(span).await;
        let outcomes = match published {
            // The poll's result may be final by now.
            Ok(()) if self.is_late(&ballots) => Err(SubmitError::Unknown),
            Ok(()) => {
                self.metrics.confirmed(ballots.len(), started.elapsed());
                let each = ballots.iter().map(|ballot| (ballot.poll, Disposition::Accepted)).collect();
                Ok(Outcomes { each, results: self.results(ballots.iter().map(|ballot| ballot.poll)) })
            }
            Err(error @ (QueueError::Unavailable(_) | QueueError::Rejected(_))) => {
                self.failure_log.log(BatchFailure::NotTaken, &error, ballots.len(), self.clock.now());
                self.metrics.failed(BatchFailure::NotTaken);
                Err(SubmitError::Unavailable)
            }
            Err(error @ QueueError::Unknown(_)) => {
                self.failure_log.log(BatchFailure::Unknown, &error, ballots.len(), self.clock.now());
                self.metrics.failed(BatchFailure::Unknown);
                Err(SubmitError::Unknown)
            }
        };
        CompletedBatch { responders, outcomes }
    }

    /// Whether some of these ballots arrived so long ago that they may no longer be recorded: this process, or its machine, was
    /// suspended meanwhile.
    fn is_late(&self, ballots: &[Ballot]) -> bool {
        let last = self.clock.now().plus_ms(-CONFIRMED_WITHIN_MS);
        ballots.iter().any(|ballot| ballot.accepted_at < last)
    }

    /// The latest result of each of these polls.
    fn results(&self, polls: impl Iterator<Item = PollId>) -> Arc<[crate::results::SharedSnapshot]> {
        let mut ids: Vec<PollId> = polls.collect();
        ids.dedup();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.polls.latest(id)).collect()
    }
}
