//! Ballots in one SQLite file: one writer that commits in groups, separate readers.
//!
//! The file is in WAL mode with `synchronous=FULL`, so a commit is on the disk when it returns, and readers and the
//! writer never wait for each other.

mod admin_tokens;
mod audit;
mod ballots;
mod claim;
mod codes;
mod columns;
mod copy;
mod error;
mod header;
mod holders;
mod log;
mod open;
mod pace;
mod php_votes;
mod place;
mod poll_voters;
mod polls;
mod readers;
mod record;
mod restore;
mod rounds;
mod schema;
mod shows;
mod tallies;
mod voter_loader;
mod voter_map;
mod voter_rows;
mod voters;
mod webhooks;
mod writer;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;
use throng_domain::admin_token::{AdminToken, NewAdminToken};
use throng_domain::audit::{AuditEntry, Author};
use throng_domain::ballot::{Ballot, BallotKey, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::rounds::{ConsumerReport, Round, Rounds};
use throng_domain::show::Show;
use throng_domain::store::{
    AdminTokenStore, BallotPage, BallotStore, CastBallot, CodeBatch, CodeStore, Cursor, LogState, Mark, MigrationState,
    PollEntry, PollStore, Recorded, Recount, Schema, ShowStore, StoreError, WebhookStore,
};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::void::Void;
use throng_domain::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, Webhook};

use self::claim::refuse_other_name;
pub use self::claim::{Claim, claim};
pub use self::copy::{Checked, copy};
use self::error::{StoreResult, read_error};
pub use self::log::{LOG_LONG_BYTES, read_log_state};
use self::open::{create_file, refuse_orphaned_log};
pub(super) use self::php_votes::php_votes;
use self::place::Place;
use self::readers::Readers;
pub use self::restore::{Restored, reject_leftover_files, restore};
pub use self::schema::migrations;
use self::voter_loader::VoterLoader;
use self::writer::Writer;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped before the readers that it uses.
    voter_loader: VoterLoader,
    // Dropped before the writer: the connection that is closed last copies the log into the database file, which a
    // reader can't do. So a file that no process has open is complete by itself.
    readers: Arc<Readers>,
    writer: Arc<Mutex<Writer>>,
    path: PathBuf,
    /// Where the file is, once it is in WAL mode.
    place: Arc<OnceLock<Place>>,
    // Closed after the connections: closed earlier, it would release their locks.
    _claim: Option<Claim>,
}

impl SqliteStore {
    /// Opens the file, creating it where it is missing. The schema is left unchanged: see [`Schema::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the linked SQLite is too old to be safe, or a log beside the file isn't the file's;
    /// [`StoreError::Conflict`] if another process serves it under another name; [`StoreError::Unavailable`] or
    /// [`StoreError::Corrupt`] if the file can't be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_or_create(path, None)
    }

    /// [`Self::open`], with this process's claim if it has one.
    pub(super) fn open_or_create(path: &Path, claim: Option<&Claim>) -> Result<Self, StoreError> {
        refuse_orphaned_log(path)?;
        create_file(path)?;
        Self::open_with(path, claim)
    }

    /// Opens the file if it exists; `None` if it doesn't. For commands that read a database and must not create one
    /// because of a mistyped name.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        refuse_orphaned_log(path)?;
        match path.try_exists() {
            Ok(true) => Self::open_with(path, None).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(StoreError::Unavailable(error.into())),
        }
    }

    fn open_with(path: &Path, claim: Option<&Claim>) -> Result<Self, StoreError> {
        if claim.is_none() {
            refuse_other_name(path)?;
        }
        let place = Arc::default();
        let connection = open::open_writer(path)?;
        let writer = Writer::new(connection, path, Arc::clone(&place), claim.cloned())?;
        let readers = Arc::new(Readers::new(path.to_owned()));
        let voter_loader = VoterLoader::new(Arc::clone(&writer.voters), Arc::clone(&readers));
        let writer = Arc::new(Mutex::new(writer));
        Ok(Self { voter_loader, readers, writer, path: path.to_owned(), place, _claim: claim.cloned() })
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let writer = Arc::clone(&self.writer);
        blocking(move || lock(&writer).write(change)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (readers, place) = (Arc::clone(&self.readers), Arc::clone(&self.place));
        blocking(move || {
            let read = readers.with(query).map_err(read_error);
            // If this fails, what was read isn't from the file that is written to.
            place.get().map_or(Ok(()), Place::check)?;
            read
        })
        .await
    }

    /// For long reads, on a connection of their own; aborted before the log, which can't be reset meanwhile, gets too long. Unless it
    /// is urgent, it pauses while ballots arrive.
    async fn read_bounded<T: Send + 'static>(
        &self,
        is_urgent: bool,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (readers, path) = (Arc::clone(&self.readers), self.path.clone());
        blocking(move || {
            let mut reader = readers.open().map_err(read_error)?;
            copy::bound_log(&mut reader, &path, is_urgent)?;
            query(&reader).map_err(copy::bounded_error)
        })
        .await
    }
}

#[async_trait]
impl BallotStore for SqliteStore {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        let recorded = self.lock_writer().record(ballots);
        self.voter_loader.load_wanted();
        recorded
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        self.read(move |reader| tallies::of_poll(reader, poll)).await?.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn detailed_tallies(&self, poll: PollId) -> Result<DetailedTallies, StoreError> {
        self.read(move |reader| tallies::detailed(reader, poll)).await?.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError> {
        let change = change.clone();
        self.write(move |writer| tallies::change(writer, &change)).await
    }

    async fn recount_by(&self, poll: PollId, voids: Option<Vec<Void>>) -> Result<Recount, StoreError> {
        // Somebody waits to see what a change would do.
        let is_urgent = voids.is_some();
        self.read_bounded(is_urgent, move |reader| tallies::recount(reader, poll, voids))
            .await?
            .ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn ballots(&self, poll: PollId, after: Option<Cursor>, limit: usize) -> Result<BallotPage, StoreError> {
        self.read(move |reader| ballots::stored(reader, poll, after, limit)).await
    }

    async fn cast(&self, poll: PollId, keys: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError> {
        let (first, last) = keys.into_inner();
        if first == last {
            return self.read(move |reader| ballots::cast(reader, poll, first)).await;
        }
        let voters = self.voter_loader.voters();
        let cast = self.read(move |reader| {
            // Not longer than that: whoever records waits for this lock.
            let places = voters.lock().places(reader, poll, first.voter())?;
            places.map(|places| voter_rows::at_places(reader, poll, &places)).transpose()
        });
        cast.await?.ok_or_else(|| StoreError::Unavailable("it has the voters of this poll not in memory".into()))
    }

    async fn maintain(&self) -> Result<(), StoreError> {
        self.lock_writer().maintain()
    }

    fn log_state(&self) -> Option<LogState> {
        self.lock_writer().log_state()
    }

    async fn rescue(&self) -> Result<Option<String>, StoreError> {
        let rescued = restore::rescue(&self.lock_writer(), &self.path)?;
        Ok(rescued.map(|path| path.display().to_string()))
    }
}

#[async_trait]
impl PollStore for SqliteStore {
    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.read(polls::all).await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.read(polls::version).await
    }

    async fn poll_entries(&self, after: u64) -> Result<Vec<PollEntry>, StoreError> {
        self.read(move |reader| polls::entries(reader, after)).await
    }

    async fn latest_slugs(&self, limit: usize) -> Result<Vec<Slug>, StoreError> {
        self.read(move |reader| polls::latest_slugs(reader, limit)).await
    }

    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError> {
        let polls = polls.to_vec();
        self.read(move |reader| polls::by_id(reader, &polls)).await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        let slug = slug.clone();
        self.read(move |reader| polls::by_slug(reader, &slug)).await
    }

    async fn create_poll(&self, new: NewPoll, by: &Author) -> Result<Poll, StoreError> {
        let by = by.clone();
        self.write(move |writer| polls::create(writer, new, &by)).await
    }

    async fn change_poll(
        &self,
        poll: PollId,
        version: u64,
        change: PollChange,
        by: &Author,
    ) -> Result<Poll, StoreError> {
        let by = by.clone();
        self.write(move |writer| polls::change(writer, poll, version, &change, &by)).await
    }

    async fn delete_poll(&self, poll: PollId, version: u64, by: &Author) -> Result<(), StoreError> {
        let by = by.clone();
        self.write(move |writer| polls::delete(writer, poll, version, &by)).await
    }

    async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let poll = poll.cloned();
        self.read(move |reader| audit::latest(reader, poll.as_ref(), before, limit)).await
    }

    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError> {
        let polls = polls.to_vec();
        self.write(move |writer| polls::mark(writer, &polls, mark)).await
    }
}

#[async_trait]
impl CodeStore for SqliteStore {
    async fn begin_code_batch(
        &self,
        poll: PollId,
        name: &BatchName,
        made_at: Timestamp,
        by: &Author,
    ) -> Result<CodeBatch, StoreError> {
        let (name, by) = (name.clone(), by.clone());
        self.write(move |writer| codes::begin(writer, poll, &name, made_at, &by)).await
    }

    async fn add_codes(&self, poll: PollId, batch: u32, codes: &[VoterKey]) -> Result<(), StoreError> {
        let codes = codes.to_vec();
        self.write(move |writer| codes::add(writer, poll, batch, &codes)).await
    }

    async fn mark_batch_exported(&self, poll: PollId, batch: u32, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |writer| codes::mark_exported(writer, poll, batch, at)).await
    }

    async fn revoke_code_batch(&self, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> Result<(), StoreError> {
        let by = by.clone();
        self.write(move |writer| codes::revoke(writer, poll, batch, at, &by)).await
    }

    async fn code_batches(&self, poll: PollId) -> Result<Vec<CodeBatch>, StoreError> {
        self.read(move |reader| codes::batches(reader, poll)).await
    }

    async fn valid_codes(&self, poll: PollId, codes: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError> {
        let codes = codes.to_vec();
        self.read(move |reader| codes::valid(reader, poll, &codes)).await
    }
}

#[async_trait]
impl AdminTokenStore for SqliteStore {
    async fn create_token(&self, new: NewAdminToken, by: &Author) -> Result<AdminToken, StoreError> {
        let by = by.clone();
        self.write(move |writer| admin_tokens::create(writer, new, &by)).await
    }

    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        self.read(admin_tokens::all).await
    }

    async fn revoke_token(&self, number: u32, by: &Author) -> Result<AdminToken, StoreError> {
        let by = by.clone();
        self.write(move |writer| admin_tokens::revoke(writer, number, &by)).await
    }
}

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn create_webhook(&self, new: NewWebhook, by: &Author) -> Result<Webhook, StoreError> {
        let by = by.clone();
        self.write(move |writer| webhooks::create(writer, new, &by)).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.read(webhooks::all).await
    }

    async fn delete_webhook(&self, number: u32, by: &Author) -> Result<Webhook, StoreError> {
        let by = by.clone();
        self.write(move |writer| webhooks::delete(writer, number, &by)).await
    }

    async fn add_openings(&self, polls: &[PollId]) -> Result<(), StoreError> {
        let polls = polls.to_vec();
        self.write(move |writer| webhooks::add_openings(writer, &polls)).await
    }

    async fn claim_delivery(
        &self,
        webhook: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        // The writer, which ballots need, isn't asked for without need.
        if !self.read(move |reader| webhooks::is_due(reader, webhook, now)).await? {
            return Ok(None);
        }
        self.write(move |writer| webhooks::claim(writer, webhook, now, lease_until)).await
    }

    async fn end_delivery(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<(), StoreError> {
        let (delivery, attempt) = (delivery.clone(), attempt.clone());
        self.write(move |writer| webhooks::end(writer, &delivery, &attempt, after)).await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(move |writer| webhooks::forget(writer, before)).await
    }
}

#[async_trait]
impl ShowStore for SqliteStore {
    async fn shows(&self) -> Result<Vec<Show>, StoreError> {
        self.read(shows::all).await
    }

    async fn put_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        let (show, by) = (show.checked()?.clone(), by.clone());
        self.write(move |writer| shows::put(writer, &show, &by)).await
    }

    async fn delete_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        let (show, by) = (show.clone(), by.clone());
        self.write(move |writer| shows::delete(writer, &show, &by)).await
    }
}

#[async_trait]
impl Rounds for SqliteStore {
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError> {
        self.write(move |writer| rounds::begin(writer, apart_ms)).await
    }

    async fn round(&self) -> Result<u64, StoreError> {
        self.read(rounds::last).await
    }

    async fn add_queue(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |writer| rounds::add_queue(writer, &name)).await
    }

    async fn queues(&self) -> Result<Vec<String>, StoreError> {
        self.read(rounds::queues).await
    }

    async fn report(&self, report: &ConsumerReport) -> Result<(), StoreError> {
        let report = report.clone();
        self.write(move |writer| rounds::report(writer, &report)).await
    }

    async fn reports(&self, since: u64) -> Result<Vec<ConsumerReport>, StoreError> {
        self.read(move |reader| rounds::reports(reader, since)).await
    }
}

#[async_trait]
impl Schema for SqliteStore {
    /// A process that serves the file then begins to read the voters of its polls, in the background.
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        let mut writer = self.lock_writer();
        let applied = writer.write(schema::migrate)?;
        writer.enable_log(&self.path)?;
        writer.want_voters()?;
        drop(writer);
        self.voter_loader.load_wanted();
        Ok(applied)
    }

    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError> {
        schema::states(&self.lock_writer().connection)
    }

    /// None: the settings that matter are this process's own, and durable.
    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// By this machine's clock.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.read(columns::now).await
    }
}

/// A panic while the lock was held rolled its transaction back, so the locked state is consistent.
fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable(error.into())),
    }
}

#[cfg(test)]
mod tests;
