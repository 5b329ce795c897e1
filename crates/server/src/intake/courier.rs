//! The courier: takes one core's ballots to the broker, batch after batch.

use std::pin::pin;
use std::sync::Arc;

use throng_domain::ballot::Ballot;
use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::queue::{Publisher, QueueError};
use tokio::task::{JoinError, JoinSet};
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

/// A ballot is answered with 2xx only if the broker has confirmed it so soon after it arrived, in milliseconds: well above the
/// deadline of a confirm.
pub const CONFIRMED_WITHIN_MS: i64 = 30_000;

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
        let mut in_flight = JoinSet::new();
        loop {
            let messages = in_flight.len();
            tokio::select! {
                biased;
                Some(published) = in_flight.join_next() => self.answer(published),
                () = &mut ended => break,
                batch = self.batch(messages == 0), if messages < IN_FLIGHT_MAX => {
                    self.send(batch, &mut in_flight);
                }
            }
        }
        self.desk.close();
        loop {
            while in_flight.len() < IN_FLIGHT_MAX
                && let Some(batch) = self.desk.take(BATCH_BALLOTS_MAX)
            {
                self.send(batch, &mut in_flight);
            }
            let Some(published) = in_flight.join_next().await else { break };
            self.answer(published);
        }
        self.publisher.close().await;
    }

    /// The next batch. Where messages are on their way, answers and with them new ballots come in batches too, so that it is
    /// worth waiting for those of the same turns; where there are none it goes `at_once`. Dropping the future loses nothing.
    async fn batch(&self, at_once: bool) -> Batch {
        loop {
            if !at_once {
                self.desk.gather(1).await;
            }
            if let Some(batch) = self.desk.take(BATCH_BALLOTS_MAX) {
                return batch;
            }
            self.desk.rung().await;
        }
    }

    fn send(self: &Arc<Self>, batch: Batch, in_flight: &mut JoinSet<Answered>) {
        let courier = Arc::clone(self);
        in_flight.spawn(async move { courier.publish(batch).await });
    }

    fn answer(&self, published: Result<Answered, JoinError>) {
        match published {
            Ok(answered) => self.desk.answer(answered),
            // Its callers know already that the outcome is unknown; without its courier a core takes no vote.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn publish(&self, Batch { ballots, callers }: Batch) -> Answered {
        let span = debug_span!(target: BATCH_SPANS, "publish", ballots = ballots.len());
        let started = Instant::now();
        let published = self.publisher.publish(&ballots).instrument(span).await;
        let outcomes = match published {
            // The poll's result may be final by now.
            Ok(()) if self.is_late(&ballots) => Err(NotRecorded::Unknown),
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

    /// Whether these ballots came so long ago that it isn't certain any more that they are recorded: this process, or its
    /// machine, was stopped meanwhile.
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
