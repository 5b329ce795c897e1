//! The ends of polls: that one has closed, and that its result is final, is stored once it is so.
//!
//! By its window alone a poll would open again with a clock that was set back. That it has closed is stored as soon as
//! it is seen here; that its result is final, once nothing can come any more that arrived in time. Where servers share a
//! database, that is judged by the database's clock as well: one node whose clock is wrong ends no poll for the others.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::clock::Timestamp;
use throng_domain::poll::{CLOSING_MS, Poll, PollId};
use throng_domain::store::{Mark, StoreError};
use tokio::time::Instant;
use tracing::{info, warn};

use super::App;
use super::rounds::BegunRounds;
use crate::closing::WaitsFor;
use crate::intake::{BallotQueue, CONFIRMED_WITHIN_MS};

/// The most polls that are marked in one transaction.
const MARKED_MAX: usize = 1_000;

/// How long the database is left alone that marked nothing: its clock is behind this one, or another node was faster.
const AFTER_NOTHING: Duration = Duration::from_secs(1);

/// By how much a mark may be overdue before that is logged, in milliseconds, and how often it is.
const OVERDUE_MS: i64 = 5_000;
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Stores the ends of the polls that are served here.
#[derive(Debug)]
pub(super) struct PollEnds<'a> {
    app: &'a App,
    ballot_queues: &'a [Arc<BallotQueue>],
    answered: Answered,
    rounds: BegunRounds,
    /// Whether results wait for what is on queues: of this node, or of others on its database.
    has_queues: bool,
    /// Not before then.
    next: Option<Instant>,
    told: Option<Instant>,
}

impl<'a> PollEnds<'a> {
    /// Of the polls of `app`, whose ballots wait at `ballot_queues`.
    pub(super) fn new(app: &'a App, ballot_queues: &'a [Arc<BallotQueue>]) -> Self {
        Self {
            app,
            ballot_queues,
            answered: Answered::default(),
            rounds: BegunRounds::default(),
            has_queues: true,
            next: None,
            told: None,
        }
    }

    /// Stores what is due; whether there was anything.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn mark_due(&mut self) -> Result<bool, StoreError> {
        let now = self.app.clock.now();
        self.answered.look(now, self.ballot_queues);
        if self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(false);
        }
        let mut marked = 0;
        for mark in [Mark::Closed, Mark::Final] {
            if mark == Mark::Final {
                self.look_for_queues(now).await?;
                self.go_on_with_rounds(now).await?;
            }
            let due = self.due(mark, now);
            if due.is_empty() {
                continue;
            }
            let count = self.app.origin.store.mark(&due, mark).await?;
            match mark {
                Mark::Closed if count > 0 => info!(polls = count, "closed"),
                Mark::Final if count > 0 => info!(polls = count, "closed, and final"),
                Mark::Closed | Mark::Final => self.nothing_marked(now),
            }
            marked += count;
        }
        Ok(marked > 0)
    }

    /// The polls that are to come to `mark`, with the versions at which they are.
    fn due(&self, mark: Mark, now: Timestamp) -> Vec<(PollId, u64)> {
        let polls = self.app.polls.current();
        let due = polls.ending().map(|live| &live.poll).filter(|poll| poll.due(now) == Some(mark));
        let due = due.filter(|poll| mark == Mark::Closed || self.is_over(poll));
        due.map(|poll| (poll.id, poll.version)).take(MARKED_MAX).collect()
    }

    /// Whether no ballot can come any more that arrived before the close: all that arrived here then has been answered.
    /// What other servers have is judged with its insert, and refused there.
    ///
    /// Through a broker, it is certain once all is recorded that was on the queue when no node answered with 2xx any more what
    /// arrived before. A server without one waits for that too where others on its database have one, or had.
    fn is_over(&self, poll: &Poll) -> bool {
        let is_recorded = || answered_by(poll).is_some_and(|answered_by| self.rounds.recorded_until() >= answered_by);
        (self.app.is_behind_broker() || self.is_answered(poll)) && (!self.has_queues || is_recorded())
    }

    /// Whether all has been answered that arrived at this server's ballot queues before the close.
    fn is_answered(&self, poll: &Poll) -> bool {
        poll.closes_at.is_some_and(|closes_at| self.answered.until >= closes_at.plus_ms(CLOSING_MS))
    }

    /// Asks which queues there are, when a result is due here. Whoever takes ballots through a broker has noted its queue before:
    /// so for a poll that has closed, none is missed.
    async fn look_for_queues(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.app.is_behind_broker() && self.has_answered_one_due(now) {
            self.has_queues = !self.app.origin.store.queues().await?.is_empty();
        }
        Ok(())
    }

    /// Whether there is a result to be stored as far as this server's ballot queues are concerned.
    fn has_answered_one_due(&self, now: Timestamp) -> bool {
        let polls = self.app.polls.current();
        polls.ending().map(|live| &live.poll).any(|poll| poll.due(now) == Some(Mark::Final) && self.is_answered(poll))
    }

    /// Sees to it that workers say what is recorded, while there is a result that waits for it. Where nobody can say it, they
    /// aren't asked.
    async fn go_on_with_rounds(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.has_queues {
            return Ok(());
        }
        let polls = self.app.polls.current();
        let due = polls.ending().map(|live| &live.poll).filter(|poll| poll.due(now) == Some(Mark::Final));
        let Some(wanted) = due.filter_map(answered_by).filter(|answered_by| *answered_by <= now).max() else {
            return Ok(());
        };
        drop(polls);
        let may_begin = !WaitsFor::of(self.app.queues()).is_stuck();
        self.rounds.go_on(&*self.app.origin.store, wanted, may_begin).await
    }

    fn nothing_marked(&mut self, now: Timestamp) {
        self.next = Some(Instant::now() + AFTER_NOTHING);
        let closes_at = |poll: &Poll| poll.closes_at.map_or(0, |closes_at| now.0.saturating_sub(closes_at.0));
        let polls = self.app.polls.current();
        let unmarked = polls.ending().filter(|live| live.poll.due(now) == Some(Mark::Closed));
        let overdue_ms = unmarked.map(|live| closes_at(&live.poll)).max().unwrap_or_default();
        if overdue_ms >= OVERDUE_MS && self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            warn!(
                overdue_ms,
                "a poll has closed by the time of this process and not yet by the database's clock, which was set back"
            );
        }
    }
}

/// When no node, behind a broker, answers with 2xx any more what arrived before the poll's close. A clock that is behind by
/// as long as a confirm may take makes no difference.
fn answered_by(poll: &Poll) -> Option<Timestamp> {
    poll.closes_at.map(|closes_at| closes_at.plus_ms(2 * CONFIRMED_WITHIN_MS))
}

/// Up to when all ballots that came to the ballot queues have been answered.
#[derive(Debug)]
struct Answered {
    until: Timestamp,
    /// When it was looked last, and how many had come to each ballot queue by then.
    looked: Option<(Timestamp, Vec<u64>)>,
}

impl Default for Answered {
    fn default() -> Self {
        Self { until: Timestamp(i64::MIN), looked: None }
    }
}

impl Answered {
    fn look(&mut self, now: Timestamp, ballot_queues: &[Arc<BallotQueue>]) {
        if let Some((at, admitted)) = &self.looked {
            // Each ballot queue answers in the order in which ballots came.
            if ballot_queues.iter().zip(admitted).any(|(ballot_queue, admitted)| ballot_queue.completed() < *admitted) {
                return;
            }
            self.until = *at;
        }
        self.looked = Some((now, ballot_queues.iter().map(|ballot_queue| ballot_queue.admitted()).collect()));
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::{Ballot, BallotId, Choices};
    use throng_domain::poll::OptionId;

    use super::*;

    #[tokio::test]
    async fn a_ballot_that_waits_holds_up_the_end() {
        let ballot_queue = BallotQueue::new(10);
        let ballot_queues = [Arc::clone(&ballot_queue)];
        let mut answered = Answered::default();
        answered.look(Timestamp(1), &ballot_queues);
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(uuid::Uuid::nil()), choices, Timestamp(1));
        let mut waits = std::pin::pin!(ballot_queue.submit(ballot));
        assert!(futures_util::poll!(&mut waits).is_pending());
        for now in 2..5 {
            answered.look(Timestamp(now), &ballot_queues);
            assert_eq!(answered.until, Timestamp(1));
        }
        ballot_queue.close_and_fail();
        assert!(waits.await.is_err());
        answered.look(Timestamp(5), &ballot_queues);
        assert_eq!(answered.until, Timestamp(2));
        answered.look(Timestamp(6), &ballot_queues);
        assert_eq!(answered.until, Timestamp(5));
    }
}
