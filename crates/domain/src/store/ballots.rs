//! Ballots and the tallies that they add up to.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;

use super::cast_ballots::{CastBallot, Voided};
use super::error::StoreError;
use crate::ballot::{Ballot, BallotKey, Choices};
use crate::ids::{OptionId, PollId};
use crate::tally::{DetailedTallies, Tallies, TallyChange};
use crate::tally_detail::TallyDetail;
use crate::void::Void;

/// Stores ballots and tallies.
#[async_trait]
pub trait BallotStore: Send + Sync + std::fmt::Debug {
    /// Records ballots and adds them to their polls' tallies, in one transaction. Ballots are counted nowhere else.
    ///
    /// - **Durable**: when this returns `Ok`, the ballots that it reports as counted survive the death of every process
    ///   and a loss of power.
    /// - **Once per voter**: of the ballots of a voter whom the poll's policy identifies, as many are counted as the poll's
    ///   [`Quota`](crate::policy::Quota) allows, the first ones given, however many are recorded at the same time. In a
    ///   [changeable](crate::poll::Poll::changeable) poll all are recorded, up to a limit, and the latest one counts by the time of
    ///   its arrival, whatever order they are recorded in.
    /// - **Idempotent**: a ballot that is already stored changes nothing. Recording the same ballots again, in any
    ///   grouping and order, after a crash or a commit whose outcome is unknown, results in the same tallies.
    /// - **Atomic**: tallies change in the transaction that inserts the ballots, or neither changes.
    /// - **Exact**: the tallies returned are those of this commit: they contain every ballot of the batch that was
    ///   counted, and no later call returns a lower `seq` for the same poll.
    ///
    /// Whether a ballot arrived in time is decided here, by its `accepted_at` against the poll's opening and closing
    /// times as of this transaction; a ballot that is already stored stays counted, whenever it is sent again, though a day after
    /// the result is final a store may report it as too late. A poll that is [final](crate::poll::Mark::Final) accepts no ballot,
    /// whenever that arrived: only [`Self::change_tallies`] changes its tallies.
    ///
    /// May block its thread until the commit: call it from a thread that has nothing else to do.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] nothing was recorded. After any other error the outcome is unknown.
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError>;

    /// The poll's tallies. The cost depends on the number of its options, not of its ballots.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError>;

    /// The poll's tallies with their details, from one snapshot. The cost depends on how many details its ballots have: of rankings, on the
    /// number of different ones.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn detailed_tallies(&self, poll: PollId) -> Result<DetailedTallies, StoreError>;

    /// Adds a change that no new ballot makes to the poll's tallies, in one transaction; returns the tallies with it. Changes are
    /// relative, so concurrent ones add up. `seq` increases, also where the counts fall or stay as they are.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll or option, or if a count would fall below 0; nothing changed then.
    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError>;

    /// The poll's tallies and, from the same snapshot, the counts computed from its ballots, without those that are void by the
    /// poll's rules. Reads every ballot.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such poll.
    async fn recount(&self, poll: PollId) -> Result<Recount, StoreError> {
        self.recount_by(poll, None).await
    }

    /// As [`Self::recount`], by these rules in the place of the poll's, if any are given: a preview, which somebody waits for, so that it
    /// need not make way for votes.
    async fn recount_by(&self, poll: PollId, voids: Option<Vec<Void>>) -> Result<Recount, StoreError>;

    /// A page of the poll's ballots, for exports: at most `limit`, the first ones or those after an earlier page. In an order
    /// that the store determines, each ballot is in one page; one that is recorded meanwhile may be in none.
    async fn ballots(&self, poll: PollId, after: Option<Cursor>, limit: usize) -> Result<BallotPage, StoreError>;

    /// The recorded ballots with these keys: a single key, or [all of a voter's](crate::ballot::BallotKey::all_of_voter).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] also where the store, just opened, has yet to read the voters of the poll.
    async fn cast(&self, poll: PollId, keys: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError>;

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

/// Ballots as they are stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BallotPage {
    /// The ballots.
    pub ballots: Vec<Ballot>,
    /// Where this page ends; `None` if it is the last one. A page with a cursor may have fewer ballots than asked for.
    pub next: Option<Cursor>,
}

/// Where a page of ballots ends. Only the store that returned it knows its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The part of the poll's ballots that the page ends in, where a store reads them in parts.
    pub part: u8,
    /// The last ballot in the order of this part.
    pub last: [u8; 16],
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
    /// It was recorded by this call, and counts; in a changeable poll, unless the voter has cast a later one.
    Counted,
    /// It was counted before: same id, same choices. Nothing changed.
    CountedBefore,
    /// It was counted before, and doesn't count any more: its voter has replaced or withdrawn it. Nothing changed.
    Outdated,
    /// It was counted before with other choices: same id. Nothing changed.
    IdReused,
    /// The voter has cast as many ballots as the poll's [`Quota`](crate::policy::Quota) allows. Nothing changed.
    QuotaUsed {
        /// How many.
        ballots: u8,
        /// The choices, if it is a single one.
        only: Option<Choices>,
    },
    /// As many of the voter's ballots chose this option as the poll's [`Quota`](crate::policy::Quota) allows. Nothing changed.
    OptionQuotaUsed(OptionId),
    /// Its voter has changed the ballot as often as is recorded, or can't withdraw it in this poll. Nothing changed.
    NotChangeable,
    /// It arrived before the poll opened, or the poll is a draft or doesn't exist. Nothing changed.
    TooEarly,
    /// It arrived after the poll closed. Nothing changed.
    TooLate,
    /// The store, just opened, has yet to read the voters of the ballot's poll. Nothing changed: the same ballot is to be recorded
    /// again, seconds later. Other polls' ballots in the batch are recorded.
    NotReady,
}

/// The two counts of a poll, which must agree.
#[derive(Clone, Debug)]
pub struct Recount {
    /// The stored tallies.
    pub tallies: Tallies,
    /// The counts computed from the ballots (`seq` is that of the tallies).
    pub ballots: Tallies,
    /// How many ballots more or fewer have these details than the stored tallies say.
    pub details: BTreeMap<TallyDetail, i64>,
    /// How many ballots don't count, since they are void.
    pub voided: Voided,
}

impl Recount {
    /// Of the stored tallies, and of what all ballots add up to.
    pub fn new(stored: DetailedTallies, (ballots, voided): (TallyChange, Voided)) -> Self {
        let DetailedTallies { tallies, details: stored } = stored;
        let mut details = ballots.details;
        for (detail, count) in stored {
            *details.entry(detail).or_default() -= count.cast_signed();
        }
        details.retain(|_, difference| *difference != 0);
        let mut counts: Vec<_> = tallies.counts.iter().map(|(option, _)| (*option, 0)).collect();
        for (option, count) in &ballots.counts {
            match counts.iter_mut().find(|(id, _)| id == option) {
                Some((_, counted)) => *counted = count.unsigned_abs(),
                None => counts.push((*option, count.unsigned_abs())),
            }
        }
        let ballots = Tallies { poll: tallies.poll, seq: tallies.seq, voters: ballots.voters.unsigned_abs(), counts };
        Self { tallies, ballots, details, voided }
    }

    /// Whether the tallies are what the ballots add up to.
    pub fn agrees(&self) -> bool {
        self.tallies.counts_equal(&self.ballots) && self.details.is_empty()
    }

    /// The change after which they are.
    pub fn correction(&self) -> TallyChange {
        TallyChange { details: self.details.clone(), ..TallyChange::between(&self.tallies, &self.ballots) }
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
