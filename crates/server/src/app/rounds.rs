//! Rounds, as a web node begins them and hears their answers: see [`throng_domain::rounds`].

use std::collections::VecDeque;
use std::time::Duration;

use throng_domain::clock::Timestamp;
use throng_domain::rounds::{Round, is_complete};
use throng_domain::store::{Store, StoreError};
use tokio::time::Instant;

/// How often answers are read and a round is begun, while a result waits for it.
const EVERY: Duration = Duration::from_secs(1);

/// How far apart all nodes together begin rounds, in milliseconds: a little less than one node does, so that it is not late
/// for its own next one by as much as a question to the database takes.
const APART_MS: i64 = 900;

/// The rounds that are waited for at a time, the latest ones. An answer to a later one is one to those before it, and takes as
/// long as what a line has in hand.
const WAITED_MAX: usize = 100;

/// The rounds that this node waits for. Where another node was faster it waits for the round that this one has begun: it is known
/// when that was, and that moment is what counts, also if it is too early for what this node wants.
#[derive(Debug)]
pub(super) struct BegunRounds {
    waiting: VecDeque<Round>,
    /// The moment of the last complete one.
    complete: Timestamp,
    next: Option<Instant>,
}

impl Default for BegunRounds {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), complete: Timestamp(i64::MIN), next: None }
    }
}

impl BegunRounds {
    /// What was on the queue at this moment, by the database's clock, is recorded.
    pub(super) fn recorded_until(&self) -> Timestamp {
        self.complete
    }

    /// Hears answers; begins another round unless what was on the queue at `wanted` is known to be recorded, if rounds `may_begin`.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn go_on(
        &mut self,
        store: &dyn Store,
        wanted: Timestamp,
        may_begin: bool,
    ) -> Result<(), StoreError> {
        if self.complete >= wanted || self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(());
        }
        self.next = Some(Instant::now() + EVERY);
        self.hear(store).await?;
        if self.complete < wanted && may_begin {
            let round = store.begin_round(APART_MS).await?;
            if self.waiting.contains(&round) {
                return Ok(());
            }
            if self.waiting.len() == WAITED_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(round);
        }
        Ok(())
    }

    async fn hear(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(oldest) = self.waiting.iter().map(|round| round.number).min() else { return Ok(()) };
        let (answers, queues) = (store.answers(oldest).await?, store.queues().await?);
        let is_complete = |round: &Round| is_complete(round.number, &queues, &answers);
        if let Some(last) = self.waiting.iter().rposition(is_complete) {
            let moments = self.waiting.drain(..=last).map(|round| round.began_at);
            self.complete = moments.fold(self.complete, Timestamp::max);
        }
        Ok(())
    }
}
