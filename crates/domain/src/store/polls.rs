//! Polls, and when they accept ballots.

use async_trait::async_trait;

use super::error::StoreError;
use crate::ids::{PollId, Slug};
use crate::new_poll::NewPoll;
use crate::poll::{Mark, Poll};
use crate::window::{Close, Window};

/// Stores polls.
#[async_trait]
pub trait PollStore: Send + Sync + std::fmt::Debug {
    /// Every poll, in order of creation.
    async fn polls(&self) -> Result<Vec<Poll>, StoreError>;

    /// A number that changes whenever any process creates or changes a poll. Cheap enough for several queries per second.
    async fn polls_version(&self) -> Result<u64, StoreError>;

    /// The number of every poll with the poll's version, in order of creation. Reads little per poll: a process that knows the
    /// polls learns from it which ones to read again.
    async fn poll_versions(&self) -> Result<Vec<(PollId, u64)>, StoreError>;

    /// These polls, in any order; those that don't exist are left out. At most 1,000 at a time.
    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError>;

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
