//! Loads maps of voters in the background, while other polls' ballots are recorded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use throng_domain::poll::PollId;
use tokio::time::Instant;
use tracing::{info, warn};

use super::readers::Readers;
use super::voter_map::{CollectedRows, VoterMap};
use super::voter_rows;
use super::voters::{READ_AT_ONCE_MAX, Voters};

/// The rows read in one transaction, which keeps the log from being reset for about 30 ms.
const PAGE_ROWS: usize = 100_000;

/// Loads maps on a thread of its own, which ends when this is dropped, and when nothing is wanted.
#[derive(Debug)]
pub(super) struct VoterLoader {
    voters: Arc<Voters>,
    readers: Arc<Readers>,
    is_stopped: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl VoterLoader {
    pub(super) fn new(voters: Arc<Voters>, readers: Arc<Readers>) -> Self {
        Self { voters, readers, is_stopped: Arc::default(), thread: Mutex::default() }
    }

    /// The maps that are loaded.
    pub(super) fn voters(&self) -> Arc<Voters> {
        Arc::clone(&self.voters)
    }

    /// Starts loading what is wanted, unless that is under way.
    pub(super) fn load_wanted(&self) {
        if !self.voters.lock().begin_loading() {
            return;
        }
        self.join();
        let (voters, readers) = (Arc::clone(&self.voters), Arc::clone(&self.readers));
        let loading = Loading { voters, readers, is_stopped: Arc::clone(&self.is_stopped), is_done: false };
        match thread::Builder::new().name("voters".to_owned()).spawn(move || loading.run()) {
            Ok(started) => *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(started),
            // The failed start has dropped `loading`, so it is tried again with the next ballot.
            Err(error) => {
                warn!(%error, "no thread can be started to read the voters of polls; their ballots are refused")
            }
        }
    }

    /// Waits until the thread has ended.
    pub(super) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic was logged when it happened.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for VoterLoader {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.join();
    }
}

/// What the thread does.
struct Loading {
    voters: Arc<Voters>,
    readers: Arc<Readers>,
    is_stopped: Arc<AtomicBool>,
    /// Whether nothing is wanted any more.
    is_done: bool,
}

impl Loading {
    fn run(mut self) {
        loop {
            let wanted = self.voters.lock().next_wanted();
            self.is_done = wanted.is_none();
            let Some(poll) = wanted else { return };
            let map = match self.load(poll) {
                Ok(Some(map)) => Some(map),
                Ok(None) => return,
                Err(error) => {
                    warn!(%error, poll = poll.0, "the voters of a poll can't be read; its ballots are refused until they can");
                    None
                }
            };
            self.voters.lock().loaded(poll, map);
        }
    }

    /// The map of the poll; `None` if stopped meanwhile.
    fn load(&self, poll: PollId) -> rusqlite::Result<Option<VoterMap>> {
        let began = Instant::now();
        let mut rows = CollectedRows::with_room(self.readers.with(|reader| voter_rows::last(reader, poll))?);
        while !self.is_stopped.load(Ordering::Relaxed) {
            let last = rows.last();
            let add = |key, number| rows.add(key, number);
            self.readers.with(|reader| voter_rows::read_after(reader, poll, last, PAGE_ROWS, add))?;
            if rows.last() == last {
                let map = rows.into_map();
                if last > READ_AT_ONCE_MAX {
                    info!(poll = poll.0, ballots = last, took = ?began.elapsed(), "the voters of a poll were read");
                }
                return Ok(Some(map));
            }
        }
        Ok(None)
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        // A panic, or a stop: a thread of another store may continue.
        if !self.is_done {
            self.voters.lock().end_loading();
        }
    }
}
