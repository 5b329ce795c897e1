//! The ends of polls: stores that a poll has closed, and that its result is final.
//!
//! By its window alone a poll would open again if a clock were set back. That it has closed is stored as soon as it is detected
//! here; that its result is final, once no ballot that arrived in time can still be recorded. Where servers share a database,
//! the database's clock is checked too: a node whose clock is wrong ends no poll for the others.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::Timestamp;
use throng_domain::poll::{CLOSING_MS, PollId};
use throng_domain::store::{Mark, StoreError};
use throng_domain::waits_for::WaitsFor;
use tokio::time::Instant;
use tracing::{info, warn};

use super::begun_rounds::BegunRounds;
use crate::intake::{BallotQueue, CONFIRMED_WITHIN_MS};
use crate::results::Ending;
use crate::state::App;

/// The most polls that are marked in one transaction.
const MARK_MAX: usize = 1_000;

/// The pause after the database has marked no poll: its clock is behind this one, or another node was faster.
const UNMARKED_PAUSE: Duration = Duration::from_secs(1);

/// How long a mark may be overdue before that is logged, in milliseconds.
const OVERDUE_MS: i64 = 5_000;

/// The shortest time between two log lines about it.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Stores the ends of the polls that are served here.
#[derive(Debug)]
pub(super) struct PollEnds<'a> {
    app: &'a App,
    ballot_queues: &'a [Arc<BallotQueue>],
    completed: CompletedBallots,
    rounds: BegunRounds,
    /// Whether results wait for ballots on queues, of this node or of others on its database.
    has_queues: bool,
    /// No mark is stored before this time.
    next: Option<Instant>,
    /// The time of the last log line about an overdue mark.
    logged: Option<Instant>,
}

impl<'a> PollEnds<'a> {
    /// For the polls of `app`, whose ballots wait in `ballot_queues`.
    pub(super) fn new(app: &'a App, ballot_queues: &'a [Arc<BallotQueue>]) -> Self {
        Self {
            app,
            ballot_queues,
            completed: CompletedBallots::default(),
            rounds: BegunRounds::default(),
            has_queues: true,
            next: None,
            logged: None,
        }
    }

    /// Stores the marks that are due; returns whether any was stored.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn mark_due(&mut self) -> Result<bool, StoreError> {
        let now = self.app.clock.now();
        self.completed.check(now, self.ballot_queues);
        if self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(false);
        }
        let mut marked = 0;
        for mark in [Mark::Closed, Mark::Final] {
            if mark == Mark::Final {
                self.check_queues(now).await?;
                self.advance_rounds(now).await?;
            }
            let due = self.due(mark, now);
            if due.is_empty() {
                continue;
            }
            let count = self.app.source.store.mark(&due, mark).await?;
            match mark {
                Mark::Closed if count > 0 => info!(polls = count, "polls are closed"),
                Mark::Final if count > 0 => info!(polls = count, "polls are final"),
                Mark::Closed | Mark::Final => self.nothing_marked(now),
            }
            marked += count;
        }
        Ok(marked > 0)
    }

    /// The polls for which `mark` is due, each with its version.
    fn due(&self, mark: Mark, now: Timestamp) -> Vec<(PollId, u64)> {
        let due = self.app.polls.due(now).into_iter().filter(|poll| poll.due(now) == Some(mark));
        let due = due.filter(|poll| mark == Mark::Closed || self.is_over(poll));
        due.map(|poll| (poll.id, poll.version)).take(MARK_MAX).collect()
    }

    /// Whether no ballot that arrived before the close can still be recorded: this server has responded to all that arrived
    /// here before it. Ballots at other servers are checked on insert, and rejected there.
    ///
    /// Behind a broker, this is so once everything is recorded that was on the queue when no node responded with 2xx to earlier
    /// ballots any more. A server without a broker waits for that too where others on its database have one, or had one.
    fn is_over(&self, poll: &Ending) -> bool {
        let is_recorded = || self.rounds.recorded_until() >= acknowledged_by(poll);
        (self.app.is_behind_broker() || self.is_completed(poll)) && (!self.has_queues || is_recorded())
    }

    /// Whether all ballots that arrived at this server's ballot queues before the close are completed.
    fn is_completed(&self, poll: &Ending) -> bool {
        self.completed.until >= poll.closes_at.plus_ms(CLOSING_MS)
    }

    /// Reads which queues are registered, when a result is due here. A node behind a broker registers its queue before it
    /// accepts ballots, so none is missed for a poll that has closed.
    async fn check_queues(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.app.is_behind_broker() && self.has_completed_due_poll(now) {
            self.has_queues = !self.app.source.store.queues().await?.is_empty();
        }
        Ok(())
    }

    /// Whether the final mark of a poll is due and this server's ballot queues have completed its ballots.
    fn has_completed_due_poll(&self, now: Timestamp) -> bool {
        let due = self.app.polls.due(now);
        due.iter().any(|poll| poll.due(now) == Some(Mark::Final) && self.is_completed(poll))
    }

    /// Begins rounds, in which workers report what is recorded, while a result waits for that. Where no worker can report, no
    /// round is begun.
    async fn advance_rounds(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.has_queues {
            return Ok(());
        }
        let due = self.app.polls.due(now);
        let due = due.iter().filter(|poll| poll.due(now) == Some(Mark::Final));
        let Some(wanted) = due.map(acknowledged_by).filter(|acknowledged_by| *acknowledged_by <= now).max() else {
            return Ok(());
        };
        let may_begin = !WaitsFor::of(self.app.queues()).is_stuck();
        self.rounds.advance(&*self.app.source.store, wanted, may_begin).await
    }

    fn nothing_marked(&mut self, now: Timestamp) {
        self.next = Some(Instant::now() + UNMARKED_PAUSE);
        let due = self.app.polls.due(now);
        let unmarked = due.iter().filter(|poll| poll.due(now) == Some(Mark::Closed));
        let overdue_ms = unmarked.map(|poll| now.0.saturating_sub(poll.closes_at.0)).max().unwrap_or_default();
        if overdue_ms >= OVERDUE_MS && self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            warn!(
                overdue_ms,
                "a poll is closed by this process's clock, but not yet by the database's clock, which was set back"
            );
        }
    }
}

/// The time from which on no node behind a broker responds with 2xx to ballots that arrived before the poll's close. A clock
/// that is behind by no more than a confirm may take makes no difference.
fn acknowledged_by(poll: &Ending) -> Timestamp {
    poll.closes_at.plus_ms(2 * CONFIRMED_WITHIN_MS)
}

/// The time up to which all ballots that arrived at the ballot queues are completed.
#[derive(Debug)]
struct CompletedBallots {
    until: Timestamp,
    /// The time of the last check, and the number of ballots that each ballot queue had admitted by then.
    last_check: Option<(Timestamp, Vec<u64>)>,
}

impl Default for CompletedBallots {
    fn default() -> Self {
        Self { until: Timestamp(i64::MIN), last_check: None }
    }
}

impl CompletedBallots {
    fn check(&mut self, now: Timestamp, ballot_queues: &[Arc<BallotQueue>]) {
        if let Some((at, admitted)) = &self.last_check {
            // Each ballot queue completes ballots in the order of their arrival.
            if ballot_queues.iter().zip(admitted).any(|(ballot_queue, admitted)| ballot_queue.completed() < *admitted) {
                return;
            }
            self.until = *at;
        }
        self.last_check = Some((now, ballot_queues.iter().map(|ballot_queue| ballot_queue.admitted()).collect()));
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::{Ballot, BallotId, Choices};
    use throng_domain::poll::OptionId;

    use super::*;

    #[tokio::test]
    async fn waiting_ballot_delays_the_end() {
        let ballot_queue = BallotQueue::new(10);
        let ballot_queues = [Arc::clone(&ballot_queue)];
        let mut completed = CompletedBallots::default();
        completed.check(Timestamp(1), &ballot_queues);
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(uuid::Uuid::nil()), choices, Timestamp(1));
        let mut submitted = std::pin::pin!(ballot_queue.submit(ballot));
        assert!(futures_util::poll!(&mut submitted).is_pending());
        for now in 2..5 {
            completed.check(Timestamp(now), &ballot_queues);
            assert_eq!(completed.until, Timestamp(1));
        }
        ballot_queue.close_and_fail();
        assert!(submitted.await.is_err());
        completed.check(Timestamp(5), &ballot_queues);
        assert_eq!(completed.until, Timestamp(2));
        completed.check(Timestamp(6), &ballot_queues);
        assert_eq!(completed.until, Timestamp(5));
    }
}
