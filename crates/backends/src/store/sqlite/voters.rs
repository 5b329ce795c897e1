//! The voters of all polls whose policy identifies them, as whoever records needs them: in memory, a map for each poll.
//!
//! The rows are the truth, a map only finds them. Rows are numbered from 1 in the order of their commits and never change, so a map
//! is complete up to its last row, and what was committed after that, by whomever, is added before it is used.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use throng_domain::ballot::{BallotKey, VoterKey};
use throng_domain::poll::PollId;

use super::voter_map::VoterMap;
use super::voter_rows::{self, Place};

/// The most rows that are read while a batch waits, which takes milliseconds. A map of more rows is loaded in the background.
pub(super) const READ_AT_ONCE_MAX: u64 = 10_000;

/// The maps of a file's polls, shared by all stores of the process that serves it.
#[derive(Debug, Default)]
pub(super) struct Voters(Mutex<Maps>);

#[derive(Debug, Default)]
pub(super) struct Maps {
    loaded: HashMap<PollId, VoterMap>,
    /// The polls whose maps are to be loaded, or are being loaded.
    wanted: BTreeSet<PollId>,
    /// Whether a thread loads them.
    is_loading: bool,
}

/// What is known of a poll's voters.
#[derive(Debug)]
pub(super) enum Known<'a> {
    /// Every ballot of theirs.
    All(&'a VoterMap),
    /// Nothing yet: the map is to be loaded.
    NotYet,
    /// Nothing any more: the result has been final for so long that ballots sent again aren't recognized.
    NoLonger,
}

/// Rows that a transaction has appended: their keys, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) poll: PollId,
    pub(super) keys: Vec<BallotKey>,
}

impl Voters {
    pub(super) fn lock(&self) -> MutexGuard<'_, Maps> {
        // A panic while the lock was held leaves a map without its last rows, and they are added before it is used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    /// The poll's voters, as of the caller's transaction.
    pub(super) fn of_poll(&mut self, writer: &Connection, poll: PollId) -> rusqlite::Result<Known<'_>> {
        if !self.loaded.contains_key(&poll) {
            if voter_rows::last(writer, poll)? > READ_AT_ONCE_MAX {
                if voter_rows::is_over(writer, poll)? {
                    return Ok(Known::NoLonger);
                }
                self.wanted.insert(poll);
                return Ok(Known::NotYet);
            }
            self.loaded.insert(poll, VoterMap::new());
        }
        let Some(map) = self.loaded.get_mut(&poll) else { return Ok(Known::NotYet) };
        voter_rows::read_after(writer, poll, map.last(), usize::MAX, |key, number| map.add(key, number))?;
        Ok(Known::All(map))
    }

    /// Where the ballots of a voter may be; `None` while the poll's map isn't loaded yet, or any more.
    pub(super) fn places(
        &mut self,
        reader: &Connection,
        poll: PollId,
        voter: VoterKey,
    ) -> rusqlite::Result<Option<Vec<Place>>> {
        match self.of_poll(reader, poll)? {
            Known::All(map) => Ok(Some(voter_rows::places(map, voter))),
            Known::NotYet | Known::NoLonger => Ok(None),
        }
    }

    /// Adds rows whose commit has returned.
    pub(super) fn add(&mut self, Appended { poll, keys }: Appended) {
        let Some(map) = self.loaded.get_mut(&poll) else { return };
        for key in keys {
            map.add(key, map.last() + 1);
        }
    }

    /// From now on the maps of all polls that may need one are wanted.
    pub(super) fn want_all(&mut self, reader: &Connection) -> rusqlite::Result<()> {
        let polls = voter_rows::polls(reader)?;
        self.wanted.extend(polls.into_iter().filter(|poll| !self.loaded.contains_key(poll)));
        Ok(())
    }

    /// Drops the maps that are no longer needed.
    pub(super) fn forget_over(&mut self, reader: &Connection) -> rusqlite::Result<()> {
        for poll in self.loaded.keys().copied().collect::<Vec<_>>() {
            if voter_rows::is_over(reader, poll)? {
                self.loaded.remove(&poll);
            }
        }
        Ok(())
    }

    /// Whether a thread is to be started that loads what is wanted.
    pub(super) fn begin_loading(&mut self) -> bool {
        !self.wanted.is_empty() && !std::mem::replace(&mut self.is_loading, true)
    }

    /// The next poll whose map is to be loaded, the latest first; if there is none, loading ends.
    pub(super) fn next_wanted(&mut self) -> Option<PollId> {
        let poll = self.wanted.last().copied();
        self.is_loading = poll.is_some();
        poll
    }

    /// The poll's map is loaded, or can't be loaded: then it is wanted again with the poll's next ballot.
    pub(super) fn loaded(&mut self, poll: PollId, map: Option<VoterMap>) {
        self.wanted.remove(&poll);
        self.loaded.extend(map.map(|map| (poll, map)));
    }

    /// Loading has ended before everything is loaded.
    pub(super) fn end_loading(&mut self) {
        self.is_loading = false;
    }
}
