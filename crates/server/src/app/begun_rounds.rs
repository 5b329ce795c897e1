//! A web node's part in rounds: beginning them and reading their reports. See [`throng_domain::rounds`].

use std::collections::VecDeque;
use std::time::Duration;

use throng_domain::clock::Timestamp;
use throng_domain::rounds::{Round, is_complete};
use throng_domain::store::{Store, StoreError};
use tokio::time::Instant;

/// The interval at which reports are read and a round is begun, while a result waits for one.
const EVERY: Duration = Duration::from_secs(1);

/// The shortest time between the rounds of all nodes together, in milliseconds: a little less than a single node's interval, so
/// that the duration of a database query doesn't delay its own next round.
const APART_MS: i64 = 900;

/// The most rounds waited for at a time, the latest ones. A report to a later round is also one to all before it, and takes as
/// long as the consumer needs to record its current deliveries.
const WAITING_MAX: usize = 100;

/// The rounds that this node waits for. Where another node was faster, this node waits for that node's round: the time at which
/// it began is known and is the one that counts, even if it is too early for the result that this node waits for.
#[derive(Debug)]
pub(super) struct BegunRounds {
    waiting: VecDeque<Round>,
    /// The time at which the last complete round began.
    complete: Timestamp,
    next: Option<Instant>,
}

impl Default for BegunRounds {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), complete: Timestamp(i64::MIN), next: None }
    }
}

impl BegunRounds {
    /// Everything that was on the queue at this time, by the database's clock, is recorded.
    pub(super) fn recorded_until(&self) -> Timestamp {
        self.complete
    }

    /// Reads reports; then, if rounds `may_begin`, begins another round, unless everything that was on the queue at `wanted` is
    /// known to be recorded.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn advance(
        &mut self,
        store: &dyn Store,
        wanted: Timestamp,
        may_begin: bool,
    ) -> Result<(), StoreError> {
        if self.complete >= wanted || self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(());
        }
        self.next = Some(Instant::now() + EVERY);
        self.read_reports(store).await?;
        if self.complete < wanted && may_begin {
            let round = store.begin_round(APART_MS).await?;
            if self.waiting.contains(&round) {
                return Ok(());
            }
            if self.waiting.len() == WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(round);
        }
        Ok(())
    }

    async fn read_reports(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(oldest) = self.waiting.iter().map(|round| round.number).min() else { return Ok(()) };
        let (reports, queues) = (store.reports(oldest).await?, store.queues().await?);
        let is_complete = |round: &Round| is_complete(round.number, &queues, &reports);
        if let Some(last) = self.waiting.iter().rposition(is_complete) {
            let times = self.waiting.drain(..=last).map(|round| round.began_at);
            self.complete = times.fold(self.complete, Timestamp::max);
        }
        Ok(())
    }
}
