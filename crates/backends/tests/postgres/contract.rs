//! What every store does.

use std::path::PathBuf;

use async_trait::async_trait;
use throng_backends::store::postgres::PostgresStore;
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::rounds::{Answer, Round, Rounds};
use throng_domain::store::{Close, Mark, Recorded, Recount, Store, StoreError, Window};
use throng_domain::tally::Tallies;

use super::database::Database;

throng_domain::store_contract!(fresh);

async fn fresh(_: PathBuf) -> Temporary {
    let (database, store) = Database::with_store().await;
    Temporary { store, _database: database }
}

/// A store together with its database, so that the database goes when the suite is done with the store.
#[derive(Debug)]
struct Temporary {
    store: PostgresStore,
    _database: Database,
}

#[async_trait]
impl Store for Temporary {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        self.store.record(ballots).await
    }

    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        self.store.polls().await
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        self.store.polls_version().await
    }

    async fn poll(&self, slug: &Slug) -> Result<Option<Poll>, StoreError> {
        self.store.poll(slug).await
    }

    async fn create_poll(&self, new: NewPoll) -> Result<Poll, StoreError> {
        self.store.create_poll(new).await
    }

    async fn set_window(&self, poll: PollId, version: u64, window: Window) -> Result<Poll, StoreError> {
        self.store.set_window(poll, version, window).await
    }

    async fn close_poll(&self, poll: PollId, version: u64, close: Close) -> Result<Poll, StoreError> {
        self.store.close_poll(poll, version, close).await
    }

    async fn mark(&self, polls: &[(PollId, u64)], mark: Mark) -> Result<usize, StoreError> {
        self.store.mark(polls, mark).await
    }

    async fn tallies(&self, poll: PollId) -> Result<Tallies, StoreError> {
        self.store.tallies(poll).await
    }

    async fn recount(&self, poll: PollId) -> Result<Recount, StoreError> {
        self.store.recount(poll).await
    }

    async fn ballots(&self, poll: PollId, after: Option<BallotKey>, limit: usize) -> Result<Vec<Ballot>, StoreError> {
        self.store.ballots(poll, after, limit).await
    }
}

#[async_trait]
impl Rounds for Temporary {
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

    async fn answer(&self, answer: &Answer) -> Result<(), StoreError> {
        self.store.answer(answer).await
    }

    async fn answers(&self, since: u64) -> Result<Vec<Answer>, StoreError> {
        self.store.answers(since).await
    }
}
