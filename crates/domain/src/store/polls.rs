//! Polls, and when they accept ballots.

use async_trait::async_trait;

use super::error::StoreError;
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::{CLOSING_MS, Poll, PollId, Slug};

/// Stores polls.
#[async_trait]
pub trait PollStore: Send + Sync + std::fmt::Debug {
    /// Every poll, in order of creation.
    async fn polls(&self) -> Result<Vec<Poll>, StoreError>;

    /// A number that changes whenever any process creates or changes a poll. Cheap enough for several queries per second.
    async fn polls_version(&self) -> Result<u64, StoreError>;

    /// The poll with this slug.
    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError>;

    /// Creates a poll.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its slug is taken; [`StoreError::Rejected`] if it breaks a rule of
    /// [`NewPoll::faults`].
    async fn create_poll(&self, new: NewPoll) -> Result<Poll, StoreError>;

    /// Sets when a poll opens and closes, and clears the [`Mark`]s of its end.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll is no longer at `version`, or no longer exists.
    async fn set_window(&self, poll: PollId, version: u64, window: Window) -> Result<Poll, StoreError>;

    /// Closes a poll at the time that [`Close::moment`] determines. That is evaluated by the database's clock once
    /// every batch that is being recorded is committed and none begins, so that no ballot that arrived after the close
    /// was counted by another window.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll is no longer at `version`, no longer exists, or has closed meanwhile.
    async fn close_poll(&self, poll: PollId, version: u64, close: Close) -> Result<Poll, StoreError>;

    /// Stores that these polls, each at the given version, have reached this mark; returns how many were marked. Left
    /// unchanged are a poll at another version, one that has the mark already and, where the database has a clock of
    /// its own, one that isn't due by that clock. The version of each marked poll increases.
    ///
    /// Once a poll is [`Mark::Final`], no batch adds to its tallies that wasn't committed before.
    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError>;
}

/// When a poll accepts ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this time on; `None` for a draft.
    pub opens_at: Option<Timestamp>,
    /// Until just before this time; `None` for no end.
    pub closes_at: Option<Timestamp>,
}

impl Window {
    /// The window by which ballots are judged: a poll whose result is final accepts none.
    #[must_use]
    pub fn judging(self, is_final: bool) -> Self {
        if is_final { Self { closes_at: Some(Timestamp(i64::MIN)), ..self } } else { self }
    }
}

/// What is stored about a poll's end, beside its window: marks hold whatever time a clock shows later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It has closed.
    Closed,
    /// Its result is final.
    Final,
}

impl Mark {
    /// How long after the poll's close the mark is due at the earliest, in milliseconds.
    pub fn due_after_ms(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Final => CLOSING_MS,
        }
    }
}

/// A requested close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The requested time.
    pub at: Timestamp,
    /// How long it takes until every node knows of the close, in milliseconds: the poll closes no sooner.
    pub heard_ms: i64,
}

impl Close {
    /// When the poll closes if this is stored at `now`: not before every node knows of it, and not later than `known`,
    /// the close that the nodes know already, unless a later one is requested. No ballot that arrived up to `now` is
    /// late. `None` if the poll has closed already.
    pub fn moment(self, known: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let soonest = now.plus_ms(self.heard_ms.max(1));
        match known {
            Some(known) if known <= now => None,
            Some(known) if self.at <= known => Some(self.at.max(soonest).min(known)),
            Some(_) | None => Some(self.at.max(soonest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_closes_once_every_node_knows() {
        const NOW: i64 = 1_000_000;
        for (known, requested, heard_ms, closes) in [
            (None, 0, 0, Some(1)),
            (None, -90_000, 0, Some(1)),
            (None, 5_000, 0, Some(5_000)),
            (None, 0, 1_000, Some(1_000)),
            (None, 400, 1_000, Some(1_000)),
            (None, 5_000, 1_000, Some(5_000)),
            (Some(400), 0, 1_000, Some(400)),
            (Some(400), 600, 1_000, Some(1_000)),
            (Some(9_000), 0, 1_000, Some(1_000)),
            (Some(9_000), 20_000, 1_000, Some(20_000)),
            (Some(0), 0, 1_000, None),
        ] {
            let close = Close { at: Timestamp(NOW + requested), heard_ms };
            let found = close.moment(known.map(|known| Timestamp(NOW + known)), Timestamp(NOW));
            assert_eq!(found.map(|found| found.0 - NOW), closes, "{known:?} {requested}");
        }
    }
}
