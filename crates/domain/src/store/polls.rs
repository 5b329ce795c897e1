//! Polls, and when they accept ballots.

use async_trait::async_trait;

use super::error::StoreError;
use crate::audit::{AuditEntry, Author};
use crate::clock::Timestamp;
use crate::ids::{PollId, Slug};
use crate::new_poll::NewPoll;
use crate::poll::{Mark, Poll};
use crate::poll_change::PollChange;

/// What a process has to know of every poll, also of those that nobody uses there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollEntry {
    /// The poll's number.
    pub id: PollId,
    /// Its public name.
    pub slug: Slug,
    /// Its version.
    pub version: u64,
    /// The [version of all polls](PollStore::polls_version) with which it last changed; 0 if that isn't known.
    pub changed: u64,
    /// When it opens; a poll without this is a draft, of which only its makers know.
    pub opens_at: Option<Timestamp>,
    /// When it closes, if it does.
    pub closes_at: Option<Timestamp>,
    /// Whether it was stored that it has closed.
    pub is_closed: bool,
    /// Whether it was stored that its result is final.
    pub is_final: bool,
    /// Whether it is archived.
    pub is_archived: bool,
}

/// Stores polls.
#[async_trait]
pub trait PollStore: Send + Sync + std::fmt::Debug {
    /// Every poll, in order of creation.
    async fn polls(&self) -> Result<Vec<Poll>, StoreError>;

    /// A number that increases by one with each transaction that creates, changes, marks or deletes polls, whatever process makes
    /// it. Cheap enough for several queries per second.
    async fn polls_version(&self) -> Result<u64, StoreError>;

    /// An entry of every poll that changed after this version of all polls, in order of creation; with 0, of every poll. Costs no
    /// more than what changed.
    ///
    /// Each version after `after` that is missing in the entries is of a poll that changed again later, was deleted, or was
    /// changed by an older version of Throng, which doesn't note it.
    async fn poll_entries(&self, after: u64) -> Result<Vec<PollEntry>, StoreError>;

    /// The slugs of the latest polls, at most `limit`, the latest first.
    async fn latest_slugs(&self, limit: usize) -> Result<Vec<Slug>, StoreError>;

    /// These polls, in any order; those that don't exist are left out. At most 1,000 at a time.
    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError>;

    /// The poll with this slug.
    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError>;

    /// Creates a poll, and notes in the audit log who did.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its slug is taken; [`StoreError::Rejected`] if it breaks a rule of
    /// [`NewPoll::faults`].
    async fn create_poll(&self, new: NewPoll, by: &Author) -> Result<Poll, StoreError>;

    /// Changes a poll as [`PollChange::apply`] decides, and notes in the audit log who did and what.
    ///
    /// That is decided by the poll as it is stored and the database's clock, once every batch that is being recorded is committed
    /// and none begins: no ballot that arrived after a close was counted by another window, and none is recorded by
    /// rules that change. An edit increases the `seq` of the poll's result, since what is shown of it changes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll is no longer at `version`, or no longer exists; those of [`PollChange::apply`].
    async fn change_poll(
        &self,
        poll: PollId,
        version: u64,
        change: PollChange,
        by: &Author,
    ) -> Result<Poll, StoreError>;

    /// Deletes a draft with all that belongs to it, such as invitation codes, and notes in the audit log who did. Its number is
    /// never given to another poll.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll is no longer at `version`, or no longer exists; [`StoreError::Rejected`] if it isn't a
    /// draft, or has ballots.
    async fn delete_poll(&self, poll: PollId, version: u64, by: &Author) -> Result<(), StoreError>;

    /// The latest changes, the last one first: at most `limit`, of this poll or of all, and before the entry with this number or at
    /// all. Changes of a poll that was deleted are found by its slug.
    async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Stores that these polls, each at the given version, have reached this mark; returns how many were marked. Left
    /// unchanged are a poll at another version, one that has the mark already and, where the database has a clock of
    /// its own, one that isn't due by that clock. The version of each marked poll increases. Webhooks get their messages in the same
    /// transaction: see [`WebhookStore`](super::WebhookStore).
    ///
    /// Once a poll is [`Mark::Final`], no batch adds to its tallies that wasn't committed before.
    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError>;
}
