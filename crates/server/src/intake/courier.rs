//! The courier: takes one core's ballots to the broker, batch after batch.

use std::pin::pin;
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

/// Messages on their way to the broker at once, a core: while some wait for the disks, the next one is taken there. More
/// would only make them smaller.
const IN_FLIGHT_MAX: usize = 3;

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
    /// Publishes what gathers at the desk until `ended` is done, then what is left there, in the place of clients that went
    /// away. To be run on the desk's own core. No timer: a batch is what came while those before it were on their way.
    pub async fn carry_until(self: Arc<Self>, ended: impl Future<Output = ()>) {
        let mut ended = pin!(ended);
        let (mut in_flight, mut is_ending) = (JoinSet::new(), false);
        loop {
            // Where messages are on their way, answers and with them new ballots come in batches too. One alone goes at once.
            if (1..IN_FLIGHT_MAX).contains(&in_flight.len()) {
                self.desk.gather(1).await;
            }
            while in_flight.len() < IN_FLIGHT_MAX
                && let Some(batch) = self.desk.take(BATCH_BALLOTS_MAX)
            {
                let courier = Arc::clone(&self);
                in_flight.spawn(async move { courier.publish(batch).await });
            }
            if is_ending && in_flight.is_empty() {
                return;
            }
            tokio::select! {
                Some(published) = in_flight.join_next() => match published {
                    Ok(answered) => self.desk.answer(answered),
                    // Its callers know already that the outcome is unknown; without its courier a core takes no vote.
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = self.desk.rung(), if !is_ending && in_flight.len() < IN_FLIGHT_MAX => {}
                () = &mut ended, if !is_ending => {
                    is_ending = true;
                    self.desk.close();
                }
            }
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
