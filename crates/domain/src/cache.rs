//! The interface to a cache that all nodes share: it holds each poll's last result, for nodes that have just started
//! and for when no messages arrive.
//!
//! A cache is optional. Losing it loses nothing, and nothing waits for it: an unavailable or slow cache, or one that
//! returns invalid data, is treated like an empty one, at once. To add one: implement [`ResultCache`], then run
//! `throng_domain::cache_contract!` (feature `contract`) against it.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::ids::PollId;
use crate::tally::Tallies;

/// Stores the last result of each poll, for all nodes together.
///
/// No call fails, and none takes longer than some tens of milliseconds, whatever state the cache is in.
#[async_trait]
pub trait ResultCache: Send + Sync + std::fmt::Debug {
    /// The poll's last result; `None` where there is none, where it can't be read, or where the entry isn't a result of
    /// this poll in a format that this version of Throng knows.
    ///
    /// It may be of any age: check its `as_of`. It may be older than one that was returned before (a cache may lose
    /// entries): a caller that shows results keeps the one with the higher `seq`.
    async fn get(&self, poll: PollId) -> Option<CachedTallies>;

    /// Stores `result`, unless the stored one is newer, whichever node put it: see [`CachedTallies::is_newer_than`].
    /// Best effort: the entry may be lost at any time.
    async fn put(&self, result: &CachedTallies);

    /// Requests to be the one, of all nodes and all callers, that reads the poll's tallies from the database.
    ///
    /// From one [`Lease::Taken`] on, all other callers get [`Lease::Held`] for at least `for_ms` and at most two
    /// seconds longer; leases are never released early, so that there is one query per lease. A cache that was emptied
    /// loses leases too.
    async fn lease(&self, poll: PollId, for_ms: u64) -> Lease;
}

/// Who may query the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The caller: query, and put the result into the cache.
    Taken,
    /// Another caller: its result will soon be in the cache, or was put there recently.
    Held,
    /// Unknown, because the cache is unavailable: each node has to bound its own queries.
    Unknown,
}

/// A poll's counts, and when they were known to be the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedTallies {
    /// The counts.
    pub tallies: Tallies,
    /// When the database was known to have no later ones, by the clock of the node that put them here.
    pub as_of: Timestamp,
}

impl CachedTallies {
    /// Whether this result replaces the other: it is a later one, or the same one known to be the latest at a later time.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.tallies.seq, self.as_of) > (other.tallies.seq, other.as_of)
    }
}
