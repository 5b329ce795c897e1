//! A store that records when, and as, the test says.

use std::ops::RangeInclusive;
use std::sync::{Condvar, Mutex};
use throng_domain::poll_change::PollChange;

use async_trait::async_trait;
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::admin_token::{AdminToken, NewAdminToken};
use throng_domain::audit::{AuditEntry, Author};
use throng_domain::ballot::{Ballot, BallotKey, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::rounds::{ConsumerReport, Round, Rounds};
use throng_domain::show::Show;
use throng_domain::store::{
    AdminTokenStore, BallotPage, BallotStore, CastBallot, CodeBatch, CodeStore, Cursor, Mark, PollEntry, PollStore,
    Recorded, Recount, ShowStore, StoreError, WebhookStore,
};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::void::Void;
use throng_domain::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, Webhook};

use crate::wait::WAIT_MAX;

/// An SQLite store behind a gate: while it is shut, no batch is recorded.
#[derive(Debug)]
pub struct GatedStore {
    store: SqliteStore,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    shut: bool,
    /// Batches that stand before the gate.
    waiting: usize,
    fails: Option<fn() -> StoreError>,
    /// Batches that ended in an error.
    refused: usize,
    /// How often it was maintained.
    maintained: usize,
}

impl GatedStore {
    /// This store, behind a gate that is open.
    pub fn new(store: SqliteStore) -> Self {
        Self { store, gate: Mutex::default(), changed: Condvar::new() }
    }

    /// From now on, batches wait.
    pub fn shut(&self) {
        self.gate.lock().unwrap().shut = true;
    }

    /// Lets them through.
    pub fn open(&self) {
        self.gate.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    /// From now on, batches end in this error, unless it is `None`.
    pub fn fail_with(&self, fails: Option<fn() -> StoreError>) {
        self.gate.lock().unwrap().fails = fails;
    }

    /// How many batches ended in an error.
    pub fn refused(&self) -> usize {
        self.gate.lock().unwrap().refused
    }

    /// How often it was maintained.
    pub fn maintained(&self) -> usize {
        self.gate.lock().unwrap().maintained
    }

    /// Waits until a batch stands before the gate.
    pub fn wait_for_batch(&self) {
        let gate = self.gate.lock().unwrap();
        let (gate, waited) = self.changed.wait_timeout_while(gate, WAIT_MAX, |gate| gate.waiting == 0).unwrap();
        drop(gate);
        assert!(!waited.timed_out(), "no batch came to the store");
    }

    fn pass_gate(&self) -> Option<fn() -> StoreError> {
        let mut gate = self.gate.lock().unwrap();
        gate.waiting += 1;
        self.changed.notify_all();
        let mut gate = self.changed.wait_while(gate, |gate| gate.shut).unwrap();
        gate.waiting -= 1;
        gate.refused += usize::from(gate.fails.is_some());
        gate.fails
    }
}

#[async_trait]
impl BallotStore for GatedStore {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        match self.pass_gate() {
            Some(fails) => Err(fails()),
            None => self.store.record(ballots).await,
        }
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        if let Some(fails) = self.gate.lock().unwrap().fails {
            return Err(fails());
        }
        self.store.tallies(poll).await
    }

    async fn detailed_tallies(&self, poll: PollId) -> Result<DetailedTallies, StoreError> {
        if let Some(fails) = self.gate.lock().unwrap().fails {
            return Err(fails());
        }
        self.store.detailed_tallies(poll).await
    }

    async fn change_tallies(&self, change: &TallyChange) -> Result<Tallies, StoreError> {
        self.store.change_tallies(change).await
    }

    async fn recount_by(&self, poll: PollId, voids: Option<Vec<Void>>) -> Result<Recount, StoreError> {
        self.store.recount_by(poll, voids).await
    }

    async fn ballots(&self, poll: PollId, after: Option<Cursor>, limit: usize) -> Result<BallotPage, StoreError> {
        self.store.ballots(poll, after, limit).await
    }

    async fn cast(&self, poll: PollId, keys: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError> {
        self.store.cast(poll, keys).await
    }

    async fn maintain(&self) -> Result<(), StoreError> {
        self.gate.lock().unwrap().maintained += 1;
        self.store.maintain().await
    }
}

#[async_trait]
impl PollStore for GatedStore {
    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.store.polls().await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.store.polls_version().await
    }

    async fn poll_entries(&self, after: u64) -> Result<Vec<PollEntry>, StoreError> {
        self.store.poll_entries(after).await
    }

    async fn latest_slugs(&self, limit: usize) -> Result<Vec<Slug>, StoreError> {
        self.store.latest_slugs(limit).await
    }

    async fn polls_by_id(&self, polls: &[PollId]) -> Result<Vec<Poll>, StoreError> {
        self.store.polls_by_id(polls).await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        self.store.poll(slug).await
    }

    async fn create_poll(&self, new: NewPoll, by: &Author) -> Result<Poll, StoreError> {
        self.store.create_poll(new, by).await
    }

    async fn change_poll(
        &self,
        poll: PollId,
        version: u64,
        change: PollChange,
        by: &Author,
    ) -> Result<Poll, StoreError> {
        self.store.change_poll(poll, version, change, by).await
    }

    async fn delete_poll(&self, poll: PollId, version: u64, by: &Author) -> Result<(), StoreError> {
        self.store.delete_poll(poll, version, by).await
    }

    async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.store.audit_log(poll, before, limit).await
    }

    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError> {
        self.store.mark(polls, mark).await
    }
}

#[async_trait]
impl CodeStore for GatedStore {
    async fn begin_code_batch(
        &self,
        poll: PollId,
        name: &BatchName,
        at: Timestamp,
        by: &Author,
    ) -> Result<CodeBatch, StoreError> {
        self.store.begin_code_batch(poll, name, at, by).await
    }

    async fn add_codes(&self, poll: PollId, batch: u32, codes: &[VoterKey]) -> Result<(), StoreError> {
        self.store.add_codes(poll, batch, codes).await
    }

    async fn mark_batch_exported(&self, poll: PollId, batch: u32, at: Timestamp) -> Result<(), StoreError> {
        self.store.mark_batch_exported(poll, batch, at).await
    }

    async fn revoke_code_batch(&self, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> Result<(), StoreError> {
        self.store.revoke_code_batch(poll, batch, at, by).await
    }

    async fn code_batches(&self, poll: PollId) -> Result<Vec<CodeBatch>, StoreError> {
        self.store.code_batches(poll).await
    }

    async fn valid_codes(&self, poll: PollId, codes: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError> {
        if let Some(fails) = self.gate.lock().unwrap().fails {
            return Err(fails());
        }
        self.store.valid_codes(poll, codes).await
    }
}

#[async_trait]
impl AdminTokenStore for GatedStore {
    async fn create_token(&self, new: NewAdminToken, by: &Author) -> Result<AdminToken, StoreError> {
        self.store.create_token(new, by).await
    }

    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        self.store.tokens().await
    }

    async fn revoke_token(&self, number: u32, by: &Author) -> Result<AdminToken, StoreError> {
        self.store.revoke_token(number, by).await
    }
}

#[async_trait]
impl WebhookStore for GatedStore {
    async fn create_webhook(&self, new: NewWebhook, by: &Author) -> Result<Webhook, StoreError> {
        self.store.create_webhook(new, by).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhooks().await
    }

    async fn delete_webhook(&self, number: u32, by: &Author) -> Result<Webhook, StoreError> {
        self.store.delete_webhook(number, by).await
    }

    async fn add_openings(&self, polls: &[PollId]) -> Result<(), StoreError> {
        self.store.add_openings(polls).await
    }

    async fn claim_delivery(
        &self,
        webhook: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        self.store.claim_delivery(webhook, now, lease_until).await
    }

    async fn end_delivery(
        &self,
        delivery: &Delivery,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<(), StoreError> {
        self.store.end_delivery(delivery, attempt, after).await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError> {
        self.store.forget_deliveries(before).await
    }
}

#[async_trait]
impl ShowStore for GatedStore {
    async fn shows(&self) -> Result<Vec<Show>, StoreError> {
        self.store.shows().await
    }

    async fn put_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        self.store.put_show(show, by).await
    }

    async fn delete_show(&self, show: &Show, by: &Author) -> Result<(), StoreError> {
        self.store.delete_show(show, by).await
    }
}

#[async_trait]
impl Rounds for GatedStore {
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError> {
        self.store.begin_round(apart_ms).await
    }

    async fn round(&self) -> Result<u64, StoreError> {
        self.store.round().await
    }

    async fn add_queue(&self, name: &str) -> Result<(), StoreError> {
        self.store.add_queue(name).await
    }

    async fn queues(&self) -> Result<Vec<String>, StoreError> {
        self.store.queues().await
    }

    async fn report(&self, report: &ConsumerReport) -> Result<(), StoreError> {
        self.store.report(report).await
    }

    async fn reports(&self, since: u64) -> Result<Vec<ConsumerReport>, StoreError> {
        self.store.reports(since).await
    }
}
