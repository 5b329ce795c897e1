//! The seam behind which a cache stands that all nodes share: it holds each poll's last result, for nodes that are new
//! and for when no messages come.
//!
//! A cache is a convenience. Nothing is lost with it, and nothing waits for it: one that is away, slow or talks nonsense
//! is as good as an empty one, at once. To add one: implement [`ResultCache`], then run
//! `throng_domain::cache_contract!` (feature `contract`) against it.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::poll::PollId;
use crate::tally::Tallies;

/// Keeps the last result of each poll, for all nodes together.
///
/// No call fails, and none takes longer than some tens of milliseconds, whatever state the cache is in.
#[async_trait]
pub trait ResultCache: Send + Sync + std::fmt::Debug {
    /// The poll's last result; `None` where there is none, where it can't be read, or where what is there isn't a result
    /// of this poll in a form this version of Throng knows.
    ///
    /// It may be of any age: look at its `as_of`. It may be older than one that was returned before (a cache forgets):
    /// who shows results keeps the higher `seq`.
    async fn get(&self, poll: PollId) -> Option<CachedTallies>;

    /// Keeps `result`, unless what is there is newer, by whichever node: see [`CachedTallies::is_newer_than`]. Best
    /// effort: it may be forgotten at any time.
    async fn put(&self, result: &CachedTallies);

    /// Asks to be the one, of all nodes and all callers, who reads the poll's tallies from the database.
    ///
    /// From one [`Lease::Taken`] on, all others get [`Lease::Held`] for `for_ms` at the least and two seconds more at the
    /// most; nobody gives a lease back, so that there is one query a lease. A cache that was emptied forgets leases too.
    async fn lease(&self, poll: PollId, for_ms: u64) -> Lease;
}

/// Who may ask the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The caller: ask, and put the result into the cache.
    Taken,
    /// Another: its result is in the cache soon, or was put there not long ago.
    Held,
    /// The cache doesn't say, because it is away: each node has to bound its own queries.
    Unknown,
}

/// A poll's counts, and when they were the last ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedTallies {
    /// The counts.
    pub tallies: Tallies,
    /// When the database was known to have no later ones, by the clock of the node that put them here.
    pub as_of: Timestamp,
}

impl CachedTallies {
    /// Whether this result takes the other's place: it is a later one, or the same one known to stand for longer.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.tallies.seq, self.as_of) > (other.tallies.seq, other.as_of)
    }
}
