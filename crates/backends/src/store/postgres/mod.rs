//! Ballots in a PostgreSQL database, in which any number of processes record.
//!
//! A commit is on the server's disk when it is reported, unless the server is configured otherwise, which
//! [`Schema::unsafe_settings`] reports. Nothing is set for a session, so that a pooler may share one, but statements
//! are prepared: a pooler has to track them, as PgBouncer does from 1.21 on. `PGSSLMODE` and the like are used as by
//! every client, where the URL doesn't set something else.

mod admin_tokens;
mod audit;
mod ballots;
mod codes;
mod columns;
mod connection;
mod error;
mod locks;
mod php_votes;
mod polls;
mod record;
mod rounds;
mod schema;
mod settings;
mod shows;
mod tallies;
mod webhooks;

use std::ops::RangeInclusive;

use async_trait::async_trait;
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

use self::connection::Connections;
use self::error::{open_error, read_error};
pub(super) use self::php_votes::php_votes;
pub use self::schema::migrations;
use super::ServerUrl;

/// A store in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    connections: Connections,
    /// The shard of the tallies that this store writes.
    shard: i32,
}

impl PostgresStore {
    /// Connects to the database, which must exist. The schema is left unchanged: see [`Schema::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the server has no such database or rejects the user; [`StoreError::Unavailable`] if
    /// it can't be reached.
    pub async fn open(url: &ServerUrl) -> Result<Self, StoreError> {
        let connections = Connections::new(url);
        // Server processes that start one after the other have consecutive ids, so few stores share a shard.
        let shard = connections
            .read_raw(async |reader| sqlx::query_scalar("SELECT pg_backend_pid() % 64").fetch_one(reader).await)
            .await
            .map_err(|error| open_error(error, url))?;
        Ok(Self { connections, shard })
    }
}

#[async_trait]
impl BallotStore for PostgresStore {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        record::record(&self.connections, self.shard, ballots).await
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        let found = self.connections.read(async |reader| tallies::of_poll(reader, poll).await).await?;
        found.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn detailed_tallies(&self, poll: PollId) -> Result<DetailedTallies, StoreError> {
        tallies::detailed(&self.connections, poll).await?.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError> {
        self.connections.write(async |writer| tallies::change(writer, self.shard, change).await).await
    }

    async fn recount_by(&self, poll: PollId, voids: Option<Vec<Void>>) -> Result<Recount, StoreError> {
        tallies::recount(&self.connections, poll, voids).await?.ok_or_else(|| StoreError::no_such_poll(poll))
    }

    async fn ballots(&self, poll: PollId, after: Option<Cursor>, limit: usize) -> Result<BallotPage, StoreError> {
        self.connections.read(async |reader| ballots::stored(reader, poll, after, limit).await).await
    }

    async fn cast(&self, poll: PollId, keys: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError> {
        self.connections.read(async |reader| ballots::cast(reader, poll, keys).await).await
    }
}

#[async_trait]
impl PollStore for PostgresStore {
    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.connections.read(polls::all).await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.connections.read(polls::version).await
    }

    async fn poll_entries(&self, after: u64) -> Result<Vec<PollEntry>, StoreError> {
        self.connections.read(async |reader| polls::entries(reader, after).await).await
    }

    async fn latest_slugs(&self, limit: usize) -> Result<Vec<Slug>, StoreError> {
        self.connections.read(async |reader| polls::latest_slugs(reader, limit).await).await
    }

    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError> {
        self.connections.read(async |reader| polls::by_id(reader, polls).await).await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        self.connections.read(async |reader| polls::by_slug(reader, slug).await).await
    }

    async fn create_poll(&self, new: NewPoll, by: &Author) -> Result<Poll, StoreError> {
        let faults = new.faults();
        if !faults.is_empty() {
            return Err(StoreError::Rejected(faults.join("; ")));
        }
        self.connections.write(async |writer| polls::create(writer, new, by).await).await
    }

    async fn change_poll(
        &self,
        poll: PollId,
        version: u64,
        change: PollChange,
        by: &Author,
    ) -> Result<Poll, StoreError> {
        self.connections.write(async |writer| polls::change(writer, self.shard, poll, version, &change, by).await).await
    }

    async fn delete_poll(&self, poll: PollId, version: u64, by: &Author) -> Result<(), StoreError> {
        self.connections.write(async |writer| polls::delete(writer, poll, version, by).await).await
    }

    async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.connections.read(async |reader| audit::latest(reader, poll, before, limit).await).await
    }

    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError> {
        self.connections.write(async |writer| polls::mark(writer, polls, mark).await.map_err(read_error)).await
    }
}

#[async_trait]
impl CodeStore for PostgresStore {
    async fn begin_code_batch(
        &self,
        poll: PollId,
        name: &BatchName,
        made_at: Timestamp,
        by: &Author,
    ) -> Result<CodeBatch, StoreError> {
        self.connections.write(async |writer| codes::begin(writer, poll, name, made_at, by).await).await
    }

    async fn add_codes(&self, poll: PollId, batch: u32, codes: &[VoterKey]) -> Result<(), StoreError> {
        self.connections.write(async |writer| codes::add(writer, poll, batch, codes).await).await
    }

    async fn mark_batch_exported(&self, poll: PollId, batch: u32, at: Timestamp) -> Result<(), StoreError> {
        self.connections
            .write(async |writer| codes::mark_exported(writer, poll, batch, at).await.map_err(read_error))
            .await
    }

    async fn revoke_code_batch(&self, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> Result<(), StoreError> {
        self.connections.write(async |writer| codes::revoke(writer, poll, batch, at, by).await).await
    }

    async fn code_batches(&self, poll: PollId) -> Result<Vec<CodeBatch>, StoreError> {
        self.connections.read(async |reader| codes::batches(reader, poll).await).await
    }

    async fn valid_codes(&self, poll: PollId, codes: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError> {
        self.connections.read(async |reader| codes::valid(reader, poll, codes).await).await
    }
}

#[async_trait]
impl AdminTokenStore for PostgresStore {
    async fn create_token(&self, new: NewAdminToken, by: &Author) -> Result<AdminToken, StoreError> {
        self.connections.write(async |writer| admin_tokens::create(writer, new, by).await).await
    }

    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        self.connections.read(admin_tokens::all).await
    }

    async fn revoke_token(&self, number: u32, by: &Author) -> Result<AdminToken, StoreError> {
        self.connections.write(async |writer| admin_tokens::revoke(writer, number, by).await).await
    }
}

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn create_webhook(&self, new: NewWebhook, by: &Author) -> Result<Webhook, StoreError> {
        self.connections.write(async |writer| webhooks::create(writer, new, by).await).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.connections.read(webhooks::all).await
    }

    async fn delete_webhook(&self, number: u32, by: &Author) -> Result<Webhook, StoreError> {
        self.connections.write(async |writer| webhooks::delete(writer, number, by).await).await
    }

    async fn add_openings(&self, polls: &[PollId]) -> Result<(), StoreError> {
        self.connections.write(async |writer| webhooks::add_openings(writer, polls).await.map_err(read_error)).await
    }

    async fn claim_delivery(
        &self,
        webhook: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        if !self.connections.read(async |reader| webhooks::is_due(reader, webhook, now).await).await? {
            return Ok(None);
        }
        self.connections
            .write(async |writer| webhooks::claim(writer, webhook, now, lease_until).await.map_err(read_error))
            .await
    }

    async fn end_delivery(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<(), StoreError> {
        self.connections
            .write(async |writer| webhooks::end(writer, delivery, attempt, after).await.map_err(read_error))
            .await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError> {
        self.connections.write(async |writer| webhooks::forget(writer, before).await.map_err(read_error)).await
    }
}

#[async_trait]
impl ShowStore for PostgresStore {
    async fn shows(&self) -> Result<Vec<Show>, StoreError> {
        self.connections.read(shows::all).await
    }

    async fn put_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        let show = show.checked()?;
        self.connections.write(async |writer| shows::put(writer, show, by).await).await
    }

    async fn delete_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        self.connections.write(async |writer| shows::delete(writer, show, by).await).await
    }
}

#[async_trait]
impl Rounds for PostgresStore {
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError> {
        self.connections.write(async |writer| rounds::begin(writer, apart_ms).await.map_err(read_error)).await
    }

    async fn round(&self) -> Result<u64, StoreError> {
        self.connections.read(rounds::last).await
    }

    async fn add_queue(&self, name: &str) -> Result<(), StoreError> {
        self.connections.write(async |writer| rounds::add_queue(writer, name).await.map_err(read_error)).await
    }

    async fn queues(&self) -> Result<Vec<String>, StoreError> {
        self.connections.read(rounds::queues).await
    }

    async fn report(&self, report: &ConsumerReport) -> Result<(), StoreError> {
        self.connections.write(async |writer| rounds::report(writer, report).await.map_err(read_error)).await
    }

    async fn reports(&self, since: u64) -> Result<Vec<ConsumerReport>, StoreError> {
        self.connections.read(async |reader| rounds::reports(reader, since).await).await
    }
}

#[async_trait]
impl Schema for PostgresStore {
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        schema::migrate(&self.connections).await
    }

    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError> {
        schema::states(&self.connections).await
    }

    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        self.connections.read(settings::unsafe_settings).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.connections.read(columns::now).await
    }
}
