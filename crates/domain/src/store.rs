//! The interface to a database.
//!
//! To add one: implement [`Store`], then run `throng_domain::contract` (feature `contract`) against it. A missing row
//! is `Ok(None)`; every error is a [`StoreError`], whose variants determine what the caller can do.

use std::time::Duration;

use async_trait::async_trait;

use crate::ballot::{Ballot, BallotId, BallotKey, Choices};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::{CLOSING_MS, Poll, PollId, Slug};
use crate::rounds::Rounds;
use crate::tally::{Tallies, TallyChange};

/// Stores polls, ballots and tallies; and, through [`Rounds`], what has to be reported before a result is final.
#[async_trait]
pub trait Store: Rounds {
    /// Records ballots and adds them to their polls' tallies, in one transaction. Ballots are counted nowhere else.
    ///
    /// - **Durable**: when this returns `Ok`, the ballots that it reports as counted survive the death of every process
    ///   and a loss of power.
    /// - **Idempotent**: a ballot whose key is already stored changes nothing. Recording the same ballots again, in any
    ///   grouping and order, after a crash or a commit whose outcome is unknown, results in the same tallies.
    /// - **Atomic**: tallies change in the transaction that inserts the ballots, or neither changes.
    /// - **Exact**: the tallies returned are those of this commit: they contain every ballot of the batch that was
    ///   counted, and no later call returns a lower `seq` for the same poll.
    ///
    /// Whether a ballot arrived in time is decided here, by its `accepted_at` against the poll's opening and closing
    /// times as of this transaction; a ballot that is already stored stays counted, whenever it is sent again. A poll
    /// that is [final](Mark::Final) accepts no ballot, whenever that arrived: only [`Self::change_tallies`] changes its tallies.
    ///
    /// May block its thread until the commit: call it from a thread that has nothing else to do.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] nothing was recorded. After any other error the outcome is unknown.
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError>;

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

    /// The poll's tallies. The cost depends on the number of its options, not of its ballots.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError>;

    /// Adds a change that no new ballot makes to the poll's tallies, in one transaction; returns the tallies with it. Changes are
    /// relative, so concurrent ones add up. `seq` increases, also where the counts fall or stay as they are.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll or option, or if a count would fall below 0; nothing changed then.
    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError>;

    /// The poll's tallies and, from the same snapshot, the counts computed from its ballots. Reads every ballot.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn recount(&self, poll: PollId) -> Result<Recount, StoreError>;

    /// A page of the poll's ballots, for exports: in the order of their keys, those after `after`, at most `limit`.
    async fn ballots(&self, poll: PollId, after: Option<BallotKey>, limit: usize) -> Result<Vec<Ballot>, StoreError>;

    /// Periodic maintenance, also while nothing is recorded: the process that records calls it about once per second.
    /// It checks that the store is writable and is the one that was opened, and moves what is in a log to its place in
    /// the database. A server that does all that by itself needs no implementation.
    ///
    /// May block its thread, as [`Self::record`] does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store can't be written now. After any other error except
    /// [`StoreError::Unknown`], record nothing more.
    async fn maintain(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The size of the log, as found by the last [`Self::maintain`], and the process that prevents its reset. `None`
    /// where a server manages its log by itself.
    fn log_state(&self) -> Option<LogState> {
        None
    }

    /// After [`StoreError::Displaced`]: saves data that no other process can reach any more, if there is any; returns
    /// where it was saved.
    ///
    /// # Errors
    /// If it can't be saved.
    async fn rescue(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

/// A store together with its schema, as used by the start of a server, `throng schema` and `throng doctor`.
#[async_trait]
pub trait Database: Store {
    /// Brings the schema up to date, step by step and forward only; returns the names of the steps that it applied. Two
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

    /// Settings of the database with which an acknowledged commit could be lost, each as a message that includes the
    /// value to set instead; empty where commits are durable.
    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError>;

    /// The time by the database's own clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// A step of the schema. Steps have the same numbers and names in every database.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub version: u32,
    /// Its file's name, without the extension; the same for every database.
    pub name: &'static str,
    /// Its statements, separated by `;` at the end of a line.
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

/// The outcome of a batch.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The outcome of each ballot, in the order given.
    pub outcomes: Vec<Outcome>,
    /// The tallies, as of this commit, of every poll that the batch has a ballot for and that exists.
    pub tallies: Vec<Tallies>,
}

/// The outcome of one ballot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted by this call.
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
    /// It arrived before the poll opened, or the poll is a draft or doesn't exist. Nothing changed.
    TooEarly,
    /// It arrived after the poll closed. Nothing changed.
    TooLate,
}

/// The two counts of a poll, which must agree.
#[derive(Debug)]
pub struct Recount {
    /// The stored tallies.
    pub tallies: Tallies,
    /// The counts computed from the ballots (`seq` is that of the tallies).
    pub ballots: Tallies,
}

impl Recount {
    /// Of the stored tallies, and of what all ballots add up to.
    pub fn new(tallies: Tallies, ballots: &TallyChange) -> Self {
        let mut counts: Vec<_> = tallies.counts.iter().map(|(option, _)| (*option, 0)).collect();
        for (option, count) in &ballots.counts {
            match counts.iter_mut().find(|(id, _)| id == option) {
                Some((_, counted)) => *counted = count.unsigned_abs(),
                None => counts.push((*option, count.unsigned_abs())),
            }
        }
        let ballots = Tallies { poll: tallies.poll, seq: tallies.seq, voters: ballots.voters.unsigned_abs(), counts };
        Self { tallies, ballots }
    }
}

/// The log of a database in a file: it holds commits that aren't in the file yet, and is reset once all of them are,
/// unless a process still reads an older state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Its length.
    pub bytes: u64,
    /// The other process that reads the oldest state, if any.
    pub reader: Option<LogReader>,
}

/// A process that reads a file, for the duration of one of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReader {
    /// The process.
    pub process: Process,
    /// For how long it has been observed to read that state.
    pub seen_for: Duration,
}

/// Another process, as the system identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id; `None` where it isn't visible, since the process is outside of this one's container.
    pub id: Option<i32>,
    /// The program's name, where the system reports it.
    pub program: Option<String>,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.id, &self.program) {
            (Some(id), Some(program)) => write!(f, "{program} (process {id})"),
            (Some(id), None) => write!(f, "process {id}"),
            (None, _) => f.write_str("a program outside of this container"),
        }
    }
}

/// Why a call to a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or is busy. Nothing happened; the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Source),
    /// A concurrent change was faster. Read again, then decide.
    #[error("{0}")]
    Conflict(String),
    /// The request can't be fulfilled, now or later.
    #[error("{0}")]
    Rejected(String),
    /// The connection was lost, or the response timed out, around the commit: it may have happened or not. Continue,
    /// and repeat the call when the store can be reached: what is already recorded isn't recorded twice.
    #[error("the outcome of a store operation is unknown: {0}")]
    Unknown(#[source] Source),
    /// A write failed and what reached the disk is unknown. Record nothing more: exit, and let the next start recover
    /// from what was stored.
    #[error("the store failed while writing: {0}")]
    WriteFailed(#[source] Source),
    /// The store that was opened is no longer the one at its address: it was moved, deleted or replaced. What was
    /// recorded before this call is in the store that was opened; whether what this call recorded is, is unknown.
    /// Record nothing more and exit.
    #[error("{0}")]
    Displaced(String),
    /// The stored data isn't what was written.
    #[error("the store's data is damaged: {0}")]
    Corrupt(#[source] Source),
}

impl StoreError {
    /// Whether the same call may succeed later without intervention.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unknown(_) => true,
            Self::Conflict(_) | Self::Rejected(_) | Self::WriteFailed(_) | Self::Displaced(_) | Self::Corrupt(_) => {
                false
            }
        }
    }
}

/// The error that caused a [`StoreError`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;

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
