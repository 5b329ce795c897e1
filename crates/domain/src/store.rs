//! The seam behind which a database stands.
//!
//! To add one: implement [`Store`], then run `throng_domain::contract` (feature `contract`) against it. A missing
//! row is `Ok(None)`; every error is a [`StoreError`], whose variants say what the caller can do.

use async_trait::async_trait;

use crate::ballot::{Ballot, BallotId, BallotKey, Choices};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::{Poll, PollId, Slug};
use crate::tally::Tallies;

/// Keeps polls, ballots and tallies.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Records ballots and adds them to their polls' tallies, in one transaction. This is the one place where
    /// counting happens.
    ///
    /// - **Durable**: when this returns `Ok`, what it says was counted survives the death of every process and a
    ///   loss of power.
    /// - **Idempotent**: a ballot whose key is already there changes nothing. Recording the same ballots again, in
    ///   any grouping and order, after a crash or a commit whose outcome nobody knows, ends in the same tallies.
    /// - **Atomic**: tallies change in the transaction that inserts the ballots, or neither does.
    /// - **Exact**: the tallies returned are those of this commit: they contain every ballot of the batch that was
    ///   counted, and no later call returns a lower `seq` for the same poll.
    ///
    /// Whether a ballot came in time is judged here, by its `accepted_at` against the poll's opening and closing as
    /// they stand in this transaction; one that is there already is what it was, whenever it comes again.
    ///
    /// May block its thread until the commit: call it from a thread that has nothing else to do.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] nothing was recorded. After any other it isn't known.
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError>;

    /// Every poll, in the order of creation.
    async fn polls(&self) -> Result<Vec<Poll>, StoreError>;

    /// A number that changes whenever a poll is created or changed, by whichever process. Cheap enough to be asked
    /// several times a second.
    async fn polls_version(&self) -> Result<u64, StoreError>;

    /// The poll of this name.
    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError>;

    /// Creates a poll.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its slug is taken; [`StoreError::Rejected`] if it breaks a rule of
    /// [`NewPoll::faults`].
    async fn create_poll(&self, new: NewPoll) -> Result<Poll, StoreError>;

    /// Sets when a poll opens and closes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll isn't at `version` any more, or gone.
    async fn set_window(&self, poll: PollId, version: u64, window: Window) -> Result<Poll, StoreError>;

    /// The poll's tallies: the cost is that of its options, not of its ballots.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError>;

    /// The poll's tallies and, from the same snapshot, what a count over its ballots gives: reads every ballot.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn recount(&self, poll: PollId) -> Result<Recount, StoreError>;

    /// The poll's ballots in the order of their keys, from just after `after`, `limit` at the most: a page of an
    /// export.
    async fn ballots(&self, poll: PollId, after: Option<BallotKey>, limit: usize) -> Result<Vec<Ballot>, StoreError>;

    /// What has to be done from time to time, also while nothing is recorded: whoever records calls it about once a
    /// second. It checks that the store can be written and is the one that was opened, and brings what stands in a log
    /// to where it belongs. A server that does all that by itself has nothing to do here.
    ///
    /// May block its thread, as [`Self::record`] does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it can't be written now. After any other but [`StoreError::Unknown`], record
    /// nothing more.
    async fn maintain(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// After [`StoreError::Displaced`]: saves what no other process can reach any more, if there is such; returns where.
    ///
    /// # Errors
    /// If it can't be saved.
    async fn rescue(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

/// A store together with its tables: what the start of a server, `throng schema` and `throng doctor` ask.
#[async_trait]
pub trait Database: Store {
    /// Brings the schema up to date, step by step and forward only; returns the names of the steps it applied. Two
    /// processes may do it at the same time.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the schema is that of a later version of Throng.
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError>;

    /// Every step of the schema in order, and whether this database has it.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the schema is that of a later version of Throng.
    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError>;

    /// Settings of the database with which a commit that was answered could be lost, each in words that say what to
    /// set instead; empty where a commit is safe.
    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError>;

    /// The time by the database's own clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// A step of the schema. Steps have the same numbers and names in every database.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub version: u32,
    /// Its file's name, without the ending; the same for every database.
    pub name: &'static str,
    /// What it does; its statements are separated by `;` at the end of a line.
    pub sql: &'static str,
}

/// A step of the schema, and whether a database has it.
#[derive(Clone, Copy, Debug)]
pub struct MigrationState {
    /// The step.
    pub migration: Migration,
    /// Whether it was applied.
    pub applied: bool,
}

/// When a poll takes ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this moment on; `None` for a draft.
    pub opens_at: Option<Timestamp>,
    /// Until just before this moment; `None` for no end.
    pub closes_at: Option<Timestamp>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What came of each ballot, in the order they were given.
    pub outcomes: Vec<Outcome>,
    /// The tallies, as of this commit, of every poll that the batch has a ballot for and that exists.
    pub tallies: Vec<Tallies>,
}

/// What came of one ballot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is counted now.
    Counted,
    /// It was counted before: same id, same choices. Nothing changed.
    CountedBefore,
    /// Another ballot has its key. Nothing changed.
    KeyTaken {
        /// The id of that ballot.
        id: BallotId,
        /// The choices on that ballot.
        choices: Choices,
    },
    /// It arrived before the poll opened, or the poll is a draft or gone. Nothing changed.
    TooEarly,
    /// It arrived after the poll closed. Nothing changed.
    TooLate,
}

/// The two counts of a poll that must agree.
#[derive(Debug)]
pub struct Recount {
    /// What the tallies say.
    pub tallies: Tallies,
    /// What the ballots add up to (its `seq` is that of the tallies).
    pub ballots: Tallies,
}

/// Why a store couldn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or is busy. Nothing happened; the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Source),
    /// Somebody else was faster. Read again, then decide.
    #[error("{0}")]
    Conflict(String),
    /// What was asked can't be done, now or later.
    #[error("{0}")]
    Rejected(String),
    /// The connection was lost, or an answer stayed out, around the commit: it may have happened or not. Go on, and
    /// ask again when the store can be reached: what is recorded already is not recorded twice.
    #[error("whether the store did it isn't known: {0}")]
    Unknown(#[source] Source),
    /// A write failed and it isn't known what reached the disk. Record nothing more: exit, and let the next start
    /// recover from what was stored.
    #[error("the store failed while writing: {0}")]
    WriteFailed(#[source] Source),
    /// The store that was opened isn't the one at its address any more: it was moved, deleted or replaced. What was
    /// recorded before this is in the one that was opened; whether this is, isn't known. Record nothing more and exit.
    #[error("{0}")]
    Displaced(String),
    /// What is stored isn't what was written there.
    #[error("the store's data is damaged: {0}")]
    Corrupt(#[source] Source),
}

/// The error below a [`StoreError`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;
