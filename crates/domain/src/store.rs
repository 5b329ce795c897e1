//! The seam behind which a database stands.
//!
//! To add one: implement [`Store`], then run `throng_domain::contract` (feature `contract`) against it. A missing
//! row is `Ok(None)`; every error is a [`StoreError`], whose variants say what the caller can do.

use std::time::Duration;

use async_trait::async_trait;

use crate::ballot::{Ballot, BallotId, BallotKey, Choices};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::{CLOSING_MS, Poll, PollId, Slug};
use crate::rounds::Rounds;
use crate::tally::Tallies;

/// Keeps polls, ballots and tallies; and, in [`Rounds`], what is asked and answered before a result is final.
#[async_trait]
pub trait Store: Rounds {
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
    /// they stand in this transaction; one that is there already is what it was, whenever it comes again. A poll that is
    /// [final](Mark::Final) takes none, whenever it arrived: its tallies stand.
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

    /// Sets when a poll opens and closes. What was stored of its end is taken back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll isn't at `version` any more, or gone.
    async fn set_window(&self, poll: PollId, version: u64, window: Window) -> Result<Poll, StoreError>;

    /// Has a poll close, at the moment that [`Close::moment`] finds. That is judged by the database's clock once every
    /// batch that is being recorded is committed and none begins, so that no ballot was counted by another window that
    /// arrived after the close.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll isn't at `version` any more, gone, or closed meanwhile.
    async fn close_poll(&self, poll: PollId, version: u64, close: Close) -> Result<Poll, StoreError>;

    /// Stores that these polls, each at the version given, have come to this mark; returns how many have. Left as they are:
    /// a poll of another version, one that is there already, and where the database has a clock of its own, one that isn't
    /// due by that clock. The version of the others grows.
    ///
    /// Once a poll is [`Mark::Final`], no batch adds to its tallies that wasn't committed before.
    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError>;

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

    /// What the log takes up, as [`Self::maintain`] found it last, and who keeps it from beginning anew. `None` where a
    /// server looks after that itself.
    fn log_state(&self) -> Option<LogState> {
        None
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

impl Window {
    /// The window by which ballots are judged: that of a poll whose result is final takes none.
    #[must_use]
    pub fn judging(self, is_final: bool) -> Self {
        if is_final { Self { closes_at: Some(Timestamp(i64::MIN)), ..self } } else { self }
    }
}

/// What is stored of a poll's end, beside its window: these stand whatever a clock shows later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It has closed.
    Closed,
    /// Its result stands.
    Final,
}

impl Mark {
    /// How long after the poll's close it is due at the soonest, in milliseconds.
    pub fn due_after_ms(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Final => CLOSING_MS,
        }
    }
}

/// A close that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The moment asked for.
    pub at: Timestamp,
    /// How long it takes until every node has heard of it, in milliseconds: the close is no sooner.
    pub heard_ms: i64,
}

impl Close {
    /// When the poll closes if this is stored at `now`: not before every node has heard of it, nor later than `known`, the
    /// close that they know of, unless a later one is asked for. Nothing that arrived up to `now` came too late. `None` if
    /// the poll has closed already.
    pub fn moment(self, known: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let soonest = now.plus_ms(self.heard_ms.max(1));
        match known {
            Some(known) if known <= now => None,
            Some(known) if self.at <= known => Some(self.at.max(soonest).min(known)),
            Some(_) | None => Some(self.at.max(soonest)),
        }
    }
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

/// The log of a database in a file: it holds what was committed and isn't in the file yet, and begins anew when all of it is,
/// unless somebody reads an older state meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Its length.
    pub bytes: u64,
    /// The other process that reads the oldest state, if one reads.
    pub reader: Option<LogReader>,
}

/// A process that reads a file for as long as that one transaction of its lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReader {
    /// Which it is.
    pub process: Process,
    /// For how long it has been seen to read that state.
    pub seen_for: Duration,
}

/// Another process, as the system names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id; `None` where it can't be seen, since it is outside of this one's container.
    pub id: Option<i32>,
    /// The program's name, where the system tells.
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

impl StoreError {
    /// Whether the same call may succeed later, by itself.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unknown(_) => true,
            Self::Conflict(_) | Self::Rejected(_) | Self::WriteFailed(_) | Self::Displaced(_) | Self::Corrupt(_) => {
                false
            }
        }
    }
}

/// The error below a [`StoreError`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_hears_of_a_close_before_it_comes() {
        const NOW: i64 = 1_000_000;
        for (known, asked, heard_ms, closes) in [
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
            let close = Close { at: Timestamp(NOW + asked), heard_ms };
            let found = close.moment(known.map(|known| Timestamp(NOW + known)), Timestamp(NOW));
            assert_eq!(found.map(|found| found.0 - NOW), closes, "{known:?} {asked}");
        }
    }
}
