//! Ballots in MySQL or MariaDB, which many servers and workers write to at the same time.
//!
//! Every operation has its own connection and its own deadline. What fails before `COMMIT` is sent has changed nothing;
//! from then on the outcome is unknown until the same call is repeated.

mod admin_tokens;
mod audit;
mod ballots;
mod codes;
mod columns;
mod connection;
mod error;
mod php_votes;
mod polls;
mod record;
mod rounds;
mod schema;
mod settings;
mod shows;
mod tallies;
mod webhooks;

use std::hash::{BuildHasher as _, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlConnection;
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
    AdminTokenStore, BallotPage, BallotStore, CastBallot, CodeBatch, CodeStore, Cursor, Mark, MigrationState,
    PollEntry, PollStore, Recorded, Recount, Schema, ShowStore, StoreError, WebhookStore,
};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::void::Void;
use throng_domain::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, Webhook};
use tokio::time::Instant;

use self::connection::{Connections, PooledConnection, READ_MAX};
use self::error::{StoreResult, before_commit, commit_error, open_error};
pub(super) use self::php_votes::php_votes;
pub use self::schema::migrations;
use super::pool::within;
use super::{ServerUrl, migration, record_plan};

/// How long a transaction may take until its commit, including the wait for a connection.
const WRITE_MAX: Duration = Duration::from_secs(7);

/// How long a commit may take, so that no call takes more than ten seconds in all.
const COMMIT_MAX: Duration = Duration::from_secs(3);

/// How long it may take to bring the schema up to date.
const MIGRATE_MAX: Duration = Duration::from_secs(60);

/// A store in a database on a MySQL or MariaDB server.
#[derive(Debug)]
pub struct MySqlStore {
    connections: Connections,
    /// The shard of the tallies that this store writes.
    shard: u64,
}

impl MySqlStore {
    /// Opens the database, which must exist. The schema is left unchanged: see [`Schema::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server can't be reached; [`StoreError::Rejected`] if it rejects the user or
    /// has no such database.
    pub async fn open(url: &ServerUrl) -> Result<Self, StoreError> {
        let store =
            Self { connections: Connections::new(url), shard: RandomState::new().hash_one(0) % tallies::SHARDS };
        store.connections.take().await.map_err(open_error)?.end(Ok(()))?;
        Ok(store)
    }
}

#[async_trait]
impl BallotStore for MySqlStore {
    /// Optimistic, then exact: see [`record::insert_and_count`]. The tallies are read with the commit, right after it,
    /// so they include this batch and everything that was committed before.
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        let polls = record_plan::polls(ballots);
        if polls.is_empty() {
            return Ok(Recorded::default());
        }
        let counted = async |writer: &mut MySqlConnection| {
            record::insert_and_count(writer, self.shard, &polls, ballots).await.map_err(before_commit)
        };
        let (outcomes, tallies) = self.write(counted, &polls).await?;
        Ok(Recorded { outcomes, tallies })
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        let found = self.read(async |reader| tallies::of_poll(reader, poll).await).await?;
        found.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn detailed_tallies(&self, poll: PollId) -> Result<DetailedTallies, StoreError> {
        let found = self.read(async |reader| tallies::detailed(reader, poll).await).await?;
        found.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError> {
        let add = async |writer: &mut MySqlConnection| tallies::change(writer, self.shard, change).await;
        let ((), tallies) = self.write(add, &[change.poll]).await?;
        tallies.into_iter().next().ok_or_else(|| StoreError::no_such_poll(change.poll))
    }

    async fn recount_by(&self, poll: PollId, voids: Option<Vec<Void>>) -> Result<Recount, StoreError> {
        let mut connection = self.connection().await?;
        // Not returned to the pool: its snapshot ends with it.
        let counted = tallies::recount(&mut connection, poll, voids).await.map_err(before_commit)?;
        counted.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn ballots(&self, poll: PollId, after: Option<Cursor>, limit: usize) -> Result<BallotPage, StoreError> {
        self.read(async |reader| ballots::stored(reader, poll, after, limit).await).await
    }

    async fn cast(&self, poll: PollId, keys: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError> {
        self.read(async |reader| ballots::cast(reader, poll, keys).await).await
    }
}

#[async_trait]
impl PollStore for MySqlStore {
    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.read(polls::all).await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.read(polls::version).await
    }

    async fn poll_entries(&self, after: u64) -> Result<Vec<PollEntry>, StoreError> {
        self.read(async |reader| polls::entries(reader, after).await).await
    }

    async fn latest_slugs(&self, limit: usize) -> Result<Vec<Slug>, StoreError> {
        self.read(async |reader| polls::latest_slugs(reader, limit).await).await
    }

    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError> {
        self.read(async |reader| polls::by_id(reader, polls).await).await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        self.read(async |reader| polls::by_slug(reader, slug).await).await
    }

    async fn create_poll(&self, new: NewPoll, by: &Author) -> Result<Poll, StoreError> {
        Ok(self.write(async |writer| polls::create(writer, new, by).await, &[]).await?.0)
    }

    async fn change_poll(
        &self,
        poll: PollId,
        version: u64,
        change: PollChange,
        by: &Author,
    ) -> Result<Poll, StoreError> {
        let change =
            async |writer: &mut MySqlConnection| polls::change(writer, self.shard, poll, version, &change, by).await;
        Ok(self.write(change, &[]).await?.0)
    }

    async fn delete_poll(&self, poll: PollId, version: u64, by: &Author) -> Result<(), StoreError> {
        let delete = async |writer: &mut MySqlConnection| polls::delete(writer, poll, version, by).await;
        self.write(delete, &[]).await.map(|((), _)| ())
    }

    async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(async |reader| audit::latest(reader, poll, before, limit).await).await
    }

    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError> {
        let change = async |writer: &mut MySqlConnection| polls::mark(writer, polls, mark).await.map_err(before_commit);
        Ok(self.write(change, &[]).await?.0)
    }
}

#[async_trait]
impl CodeStore for MySqlStore {
    async fn begin_code_batch(
        &self,
        poll: PollId,
        name: &BatchName,
        made_at: Timestamp,
        by: &Author,
    ) -> Result<CodeBatch, StoreError> {
        let begin = async |writer: &mut MySqlConnection| codes::begin(writer, poll, name, made_at, by).await;
        Ok(self.write(begin, &[]).await?.0)
    }

    async fn add_codes(&self, poll: PollId, batch: u32, codes: &[VoterKey]) -> Result<(), StoreError> {
        let add = async |writer: &mut MySqlConnection| codes::add(writer, poll, batch, codes).await;
        self.write(add, &[]).await.map(|((), _)| ())
    }

    async fn mark_batch_exported(&self, poll: PollId, batch: u32, at: Timestamp) -> Result<(), StoreError> {
        let mark = async |writer: &mut MySqlConnection| {
            codes::mark_exported(writer, poll, batch, at).await.map_err(before_commit)
        };
        self.write(mark, &[]).await.map(|((), _)| ())
    }

    async fn revoke_code_batch(&self, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> Result<(), StoreError> {
        let revoke = async |writer: &mut MySqlConnection| codes::revoke(writer, poll, batch, at, by).await;
        self.write(revoke, &[]).await.map(|((), _)| ())
    }

    async fn code_batches(&self, poll: PollId) -> Result<Vec<CodeBatch>, StoreError> {
        self.read(async |reader| codes::batches(reader, poll).await).await
    }

    async fn valid_codes(&self, poll: PollId, codes: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError> {
        self.read(async |reader| codes::valid(reader, poll, codes).await).await
    }
}

#[async_trait]
impl AdminTokenStore for MySqlStore {
    async fn create_token(&self, new: NewAdminToken, by: &Author) -> Result<AdminToken, StoreError> {
        Ok(self.write(async |writer| admin_tokens::create(writer, new, by).await, &[]).await?.0)
    }

    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        self.read(admin_tokens::all).await
    }

    async fn revoke_token(&self, number: u32, by: &Author) -> Result<AdminToken, StoreError> {
        let revoke = async |writer: &mut MySqlConnection| admin_tokens::revoke(writer, number, by).await;
        Ok(self.write(revoke, &[]).await?.0)
    }
}

#[async_trait]
impl WebhookStore for MySqlStore {
    async fn create_webhook(&self, new: NewWebhook, by: &Author) -> Result<Webhook, StoreError> {
        Ok(self.write(async |writer| webhooks::create(writer, new, by).await, &[]).await?.0)
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.read(webhooks::all).await
    }

    async fn delete_webhook(&self, number: u32, by: &Author) -> Result<Webhook, StoreError> {
        let delete = async |writer: &mut MySqlConnection| webhooks::delete(writer, number, by).await;
        Ok(self.write(delete, &[]).await?.0)
    }

    async fn add_openings(&self, polls: &[PollId]) -> Result<(), StoreError> {
        let add =
            async |writer: &mut MySqlConnection| webhooks::add_openings(writer, polls).await.map_err(before_commit);
        self.write(add, &[]).await.map(|((), _)| ())
    }

    async fn claim_delivery(
        &self,
        webhook: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let due = self.read(async |reader| webhooks::due(reader, webhook, now).await).await?;
        let Some(due) = due else { return Ok(None) };
        let claim =
            async |writer: &mut MySqlConnection| webhooks::claim(writer, due, lease_until).await.map_err(before_commit);
        Ok(self.write(claim, &[]).await?.0)
    }

    async fn end_delivery(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<(), StoreError> {
        let end = async |writer: &mut MySqlConnection| {
            webhooks::end(writer, delivery, attempt, after).await.map_err(before_commit)
        };
        self.write(end, &[]).await.map(|((), _)| ())
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError> {
        let forget = async |writer: &mut MySqlConnection| webhooks::forget(writer, before).await.map_err(before_commit);
        self.write(forget, &[]).await.map(|((), _)| ())
    }
}

#[async_trait]
impl ShowStore for MySqlStore {
    async fn shows(&self) -> Result<Vec<Show>, StoreError> {
        self.read(shows::all).await
    }

    async fn put_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        let show = show.checked()?;
        let put = async |writer: &mut MySqlConnection| shows::put(writer, show, by).await;
        self.write(put, &[]).await.map(|((), _)| ())
    }

    async fn delete_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        let delete = async |writer: &mut MySqlConnection| shows::delete(writer, show, by).await;
        self.write(delete, &[]).await.map(|((), _)| ())
    }
}

#[async_trait]
impl Rounds for MySqlStore {
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError> {
        let begin = async |writer: &mut MySqlConnection| rounds::begin(writer, apart_ms).await.map_err(before_commit);
        Ok(self.write(begin, &[]).await?.0)
    }

    async fn round(&self) -> Result<u64, StoreError> {
        self.read(rounds::last).await
    }

    async fn add_queue(&self, name: &str) -> Result<(), StoreError> {
        let add = async |writer: &mut MySqlConnection| rounds::add_queue(writer, name).await.map_err(before_commit);
        self.write(add, &[]).await.map(|((), _)| ())
    }

    async fn queues(&self) -> Result<Vec<String>, StoreError> {
        self.read(rounds::queues).await
    }

    async fn report(&self, report: &ConsumerReport) -> Result<(), StoreError> {
        let store = async |writer: &mut MySqlConnection| rounds::report(writer, report).await.map_err(before_commit);
        self.write(store, &[]).await.map(|((), _)| ())
    }

    async fn reports(&self, since: u64) -> Result<Vec<ConsumerReport>, StoreError> {
        self.read(async |reader| rounds::reports(reader, since).await).await
    }
}

#[async_trait]
impl Schema for MySqlStore {
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        let mut connection = self.connection().await?;
        let applied = within(MIGRATE_MAX, schema::migrate(&mut connection)).await.map_err(open_error).flatten();
        connection.end(applied)
    }

    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError> {
        migration::states(migrations(), self.read(schema::version).await?)
    }

    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        self.read(settings::unsafe_settings).await
    }

    /// By the server's clock.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.read(columns::now).await
    }
}

impl MySqlStore {
    /// The result of a query that changes nothing.
    async fn read<T>(&self, query: impl AsyncFnOnce(&mut MySqlConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let mut connection = self.connection().await?;
        let result = within(READ_MAX, query(&mut connection)).await.flatten().map_err(before_commit);
        connection.end(result)
    }

    /// Commits what `change` did in the transaction that it began, and reads the tallies of these polls right after.
    async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&mut MySqlConnection) -> StoreResult<T>,
        polls: &[PollId],
    ) -> StoreResult<(T, Vec<Tallies>)> {
        let started = Instant::now();
        let mut connection = self.connection().await?;
        let left = WRITE_MAX.saturating_sub(started.elapsed());
        let changed = match within(left, change(&mut connection)).await.map_err(before_commit).flatten() {
            Ok(changed) => changed,
            Err(error) => return connection.end(Err(error)),
        };
        let tallies = within(COMMIT_MAX, tallies::commit_and_read(&mut connection, polls)).await.flatten();
        connection.end(tallies.map(|tallies| (changed, tallies)).map_err(commit_error))
    }

    async fn connection(&self) -> StoreResult<PooledConnection<'_>> {
        self.connections.take().await.map_err(before_commit)
    }
}
