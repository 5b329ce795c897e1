//! The courier: takes one core's ballots to the broker, batch after batch.

use std::sync::Arc;

use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::queue::{Publisher, QueueError};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, debug_span};

use super::desk::{Answered, Batch, Desk, Outcomes};
use super::{BATCH_SPANS, Complaints, Fate, NotRecorded};
use crate::metrics::{IntakeMetrics, NotSafe};
use crate::results::LivePolls;

/// The most ballots in one message. More would make the broker and the workers wait for large messages; fewer would
/// make a message's own cost count.
const BATCH_BALLOTS_MAX: usize = 1_000;

/// Messages on their way to the broker at once, a core. While one waits for its confirm the next one is taken there; a
/// third would only make batches smaller.
const IN_FLIGHT_MAX: usize = 2;

/// What a courier works with.
#[derive(Debug)]
pub struct Courier {
    /// Where ballots come from and answers go.
    pub desk: Arc<Desk>,
    /// Where ballots are taken to.
    pub publisher: Arc<dyn Publisher>,
    /// The results that go out with the answers.
    pub polls: Arc<LivePolls>,
    /// What is measured.
    pub metrics: Arc<IntakeMetrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is logged of batches that fail.
    pub complaints: Arc<Complaints>,
}

impl Courier {
    /// Publishes what gathers at the desk for as long as it is polled: run it on the desk's own core. No timer: a
    /// batch is what came while those before it were on their way.
    pub async fn carry(self: Arc<Self>) {
        let mut in_flight = JoinSet::new();
        loop {
            while in_flight.len() < IN_FLIGHT_MAX
                && let Some(batch) = self.desk.take(BATCH_BALLOTS_MAX)
            {
                let courier = Arc::clone(&self);
                in_flight.spawn(async move { courier.publish(batch).await });
            }
            tokio::select! {
                Some(published) = in_flight.join_next() => match published {
                    Ok(answered) => self.desk.answer(answered),
                    // Its callers know already that the outcome is unknown; without its courier a core takes no vote.
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = self.desk.rung(), if in_flight.len() < IN_FLIGHT_MAX => {}
            }
        }
    }

    /// Publishes what is left at the desk, which must be closed, in the place of clients that went away.
    pub async fn finish(&self) {
        while let Some(batch) = self.desk.take(BATCH_BALLOTS_MAX) {
            let answered = self.publish(batch).await;
            self.desk.answer(answered);
        }
    }

    async fn publish(&self, Batch { ballots, callers }: Batch) -> Answered {
        let span = debug_span!(target: BATCH_SPANS, "publish", ballots = ballots.len());
        let started = Instant::now();
        let published = self.publisher.publish(&ballots).instrument(span).await;
        let outcomes = match published {
            Ok(()) => {
                self.metrics.confirmed(ballots.len(), started.elapsed());
                let each = ballots.iter().map(|ballot| (ballot.poll, Fate::Accepted)).collect();
                Ok(Outcomes { each, results: self.results(ballots.iter().map(|ballot| ballot.poll)) })
            }
            Err(error @ (QueueError::Unavailable(_) | QueueError::Rejected(_))) => {
                self.complaints.log(NotSafe::NotTaken, &error, ballots.len(), self.clock.now());
                self.metrics.failed(NotSafe::NotTaken);
                Err(NotRecorded::Unavailable)
            }
            Err(error @ QueueError::Unknown(_)) => {
                self.complaints.log(NotSafe::Unknown, &error, ballots.len(), self.clock.now());
                self.metrics.failed(NotSafe::Unknown);
                Err(NotRecorded::Unknown)
            }
        };
        Answered { callers, outcomes }
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
