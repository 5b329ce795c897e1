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
use crate::intake::{CONFIRMED_WITHIN_MS, Desk};

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
    desks: &'a [Arc<Desk>],
    answered: Answered,
    /// Not before then.
    next: Option<Instant>,
    told: Option<Instant>,
}

impl<'a> PollEnds<'a> {
    /// Of the polls of `app`, whose ballots wait at `desks`.
    pub(super) fn new(app: &'a App, desks: &'a [Arc<Desk>]) -> Self {
        Self { app, desks, answered: Answered::default(), next: None, told: None }
    }

    /// Stores what is due; whether there was anything.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn mark_due(&mut self) -> Result<bool, StoreError> {
        let now = self.app.clock.now();
        self.answered.look(now, self.desks);
        if self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(false);
        }
        let mut marked = 0;
        for mark in [Mark::Closed, Mark::Final] {
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
    /// Through a broker, it is certain only once the queue was seen with nothing on it and no consumer, which could hold some
    /// of it, so long after the close that no node answers with 2xx any more what arrived before.
    fn is_over(&self, poll: &Poll) -> bool {
        let (until, after_ms) = if self.app.is_behind_broker() {
            (self.app.queue_drained_at(), 2 * CONFIRMED_WITHIN_MS)
        } else {
            (self.answered.until, CLOSING_MS)
        };
        poll.closes_at.is_some_and(|closes_at| until >= closes_at.plus_ms(after_ms))
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
                "a poll has closed by this machine's clock and not by the database's; run NTP on both, and see `throng doctor`"
            );
        }
    }
}

/// Up to when all ballots that came to the desks have been answered.
#[derive(Debug)]
struct Answered {
    until: Timestamp,
    /// When it was looked last, and how many had come to each desk by then.
    looked: Option<(Timestamp, Vec<u64>)>,
}

impl Default for Answered {
    fn default() -> Self {
        Self { until: Timestamp(i64::MIN), looked: None }
    }
}

impl Answered {
    fn look(&mut self, now: Timestamp, desks: &[Arc<Desk>]) {
        if let Some((at, admitted)) = &self.looked {
            // Each desk answers in the order in which ballots came.
            if desks.iter().zip(admitted).any(|(desk, admitted)| desk.answered() < *admitted) {
                return;
            }
            self.until = *at;
        }
        self.looked = Some((now, desks.iter().map(|desk| desk.admitted()).collect()));
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::ballot::{Ballot, BallotId, Choices};
    use throng_domain::poll::OptionId;

    use super::*;

    #[tokio::test]
    async fn a_ballot_that_waits_holds_up_the_end() {
        let desk = Desk::new(10);
        let desks = [Arc::clone(&desk)];
        let mut answered = Answered::default();
        answered.look(Timestamp(1), &desks);
        let choices = Choices::new([OptionId(1)]).unwrap();
        let ballot = Ballot::unlimited(PollId(1), BallotId(uuid::Uuid::nil()), choices, Timestamp(1));
        let mut waits = std::pin::pin!(desk.submit(ballot));
        assert!(futures_util::poll!(&mut waits).is_pending());
        for now in 2..5 {
            answered.look(Timestamp(now), &desks);
            assert_eq!(answered.until, Timestamp(1));
        }
        desk.abandon();
        assert!(waits.await.is_err());
        answered.look(Timestamp(5), &desks);
        assert_eq!(answered.until, Timestamp(2));
        answered.look(Timestamp(6), &desks);
        assert_eq!(answered.until, Timestamp(5));
    }
}
