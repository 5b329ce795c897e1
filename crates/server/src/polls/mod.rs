//! Creating, editing, opening, closing, archiving and recounting polls, and making their invitation codes: the one place for it, whoever asks.
//!
//! A poll may change while it is being changed here. Each change is decided by the poll as it is stored, written together with
//! the version that it was decided by, and decided anew if another one was faster.

mod apply;
mod closing_record;
mod codes;
mod create;
mod definition;
mod edit;
mod error;
mod export;
mod import;
mod pass;
mod rankings;
mod recount;
mod shows;
mod time_arg;
mod window;

use throng_domain::audit::Author;
use throng_domain::clock::Clock;
use throng_domain::poll::{Poll, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::store::{Store, StoreError};
use throng_domain::window::HEARD_MS;

pub use self::apply::Applied;
pub use self::closing_record::{RecordKey, SignedRecord};
pub use self::codes::{CODES_MADE_MAX, NewBatch};
pub use self::create::Schedule;
pub use self::definition::PollDefinition;
pub use self::error::PollError;
pub use self::export::{EXPORT_PAGE_BALLOTS, Export, ExportFormat};
pub use self::import::Imported;
pub use self::pass::Pass;
pub use self::rankings::{RankingFormat, rankings_text};
pub use self::recount::VoidChange;
pub use self::shows::ShowDefinition;
pub use self::time_arg::TimeArg;
use crate::config::Config;

/// The most polls that are named in the error about one that doesn't exist.
const NAMED_MAX: usize = 10;

/// The most attempts at a change that conflicts with another one. Each attempt waits for the other by itself, so that a poll can
/// be closed while many clients vote in it.
const ATTEMPTS_MAX: usize = 5;

/// Changes the polls of a store.
#[derive(Clone, Copy, Debug)]
pub struct PollService<'a> {
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    heard_ms: i64,
    author: &'a Author,
    /// The version of the poll that may be changed; any, if none is given.
    version: Option<u64>,
}

impl<'a> PollService<'a> {
    /// For the polls of `store`, which `author` changes, by the clock that the servers of this `config` go by.
    pub fn new(store: &'a dyn Store, clock: &'a dyn Clock, config: &Config, author: &'a Author) -> Self {
        Self { store, clock, heard_ms: heard_ms(config), author, version: None }
    }

    /// The same, to change a poll only if it is at this version; at any, with `None`.
    #[must_use]
    pub fn at(self, version: Option<u64>) -> Self {
        Self { version, ..self }
    }

    /// The poll with this slug.
    ///
    /// # Errors
    /// [`PollError::NotFound`], or those of the store.
    pub async fn find(&self, slug: &Slug) -> Result<Poll, PollError> {
        if let Some(poll) = self.store.poll(slug).await? {
            return Ok(poll);
        }
        // The latest polls are those in use.
        let mut named = self.store.latest_slugs(NAMED_MAX + 1).await?;
        let more = named.len() > NAMED_MAX;
        named.truncate(NAMED_MAX);
        Err(PollError::NotFound { slug: slug.clone(), named, more })
    }
}

impl PollService<'_> {
    /// The poll with this slug, which is to be changed.
    async fn find_to_change(&self, slug: &Slug) -> Result<Poll, PollError> {
        let poll = self.find(slug).await?;
        match self.version {
            Some(expected) if expected != poll.version => {
                Err(PollError::OtherVersion { slug: slug.clone(), expected, version: poll.version })
            }
            Some(_) | None => Ok(poll),
        }
    }

    /// Changes the poll, which must still be as it was read.
    async fn change(&self, poll: &Poll, change: PollChange) -> Result<Poll, PollError> {
        Ok(self.store.change_poll(poll.id, poll.version, change, self.author).await?)
    }
}

/// How long it takes until every node knows of a change, in milliseconds: 0 where the process that records judges each ballot
/// itself. A database that several servers may share doesn't show whether they accept ballots through a broker, so it counts as
/// if they did.
fn heard_ms(config: &Config) -> i64 {
    if config.queue.is_some() || config.database.is_shared() { HEARD_MS } else { 0 }
}

/// The result of `change`, which is attempted up to [`ATTEMPTS_MAX`] times while other changes conflict with it.
///
/// # Errors
/// [`PollError::Busy`] if the last attempt failed so too; every other error at once.
async fn retry_conflicts<T, F>(change: impl Fn() -> F) -> Result<T, PollError>
where
    F: Future<Output = Result<T, PollError>>,
{
    for _ in 1..ATTEMPTS_MAX {
        match change().await {
            Err(PollError::Store(error)) if is_transient(&error) => {}
            done => return done,
        }
    }
    match change().await {
        Err(PollError::Store(error @ StoreError::Conflict(_))) => Err(PollError::Busy(error)),
        done => done,
    }
}

fn is_transient(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(_) | StoreError::Unavailable(_))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn run_failing(failures: usize, error: fn() -> StoreError) -> (usize, Result<(), PollError>) {
        let attempts = Cell::new(0);
        let done = retry_conflicts(|| async {
            attempts.set(attempts.get() + 1);
            if attempts.get() > failures { Ok(()) } else { Err(error().into()) }
        });
        let done = done.await;
        (attempts.get(), done)
    }

    #[tokio::test]
    async fn conflict_is_retried_a_limited_number_of_times() {
        let conflict = || StoreError::Conflict("changed meanwhile".to_owned());
        assert!(matches!(run_failing(2, conflict).await, (3, Ok(()))));
        assert!(matches!(run_failing(100, conflict).await, (ATTEMPTS_MAX, Err(PollError::Busy(_)))));
    }

    #[tokio::test]
    async fn rejected_change_is_not_retried() {
        let rejected = || StoreError::Rejected("no".to_owned());
        assert!(matches!(run_failing(1, rejected).await, (1, Err(PollError::Store(_)))));
    }
}
