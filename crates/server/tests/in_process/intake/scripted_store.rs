//! A store in memory that fails when its script says so.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Mutex;

use async_trait::async_trait;
use throng_domain::admin_token::{AdminToken, NewAdminToken};
use throng_domain::audit::{AuditEntry, Author};
use throng_domain::ballot::{Ballot, BallotId, BallotKey, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{OptionId, Poll, PollId, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::rounds::{ConsumerReport, Round, Rounds};
use throng_domain::show::Show;
use throng_domain::store::{
    AdminTokenStore, BallotPage, BallotStore, CastBallot, CodeBatch, CodeStore, Cursor, Mark, Outcome, PollEntry,
    PollStore, Recorded, Recount, ShowStore, StoreError, WebhookStore,
};
use throng_domain::tally::{DetailedTallies, Tallies, TallyChange};
use throng_domain::void::Void;
use throng_domain::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, Webhook};

/// The one poll there is.
pub const POLL: PollId = PollId(1);

/// What the store does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Record,
    Unavailable,
    Unknown,
    WriteFailed,
}

/// Does with each batch what the script says, and records once it is at its end. Each ballot's outcome names the
/// ballot itself, so that none can be taken for another's.
#[derive(Debug)]
pub struct ScriptedStore {
    poll: Poll,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Step>,
    tried: Vec<(BallotId, Step)>,
    tallies: Tallies,
}

impl ScriptedStore {
    pub fn new(script: Vec<Step>) -> Self {
        let poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(POLL);
        let state = State { script: script.into(), tried: Vec::new(), tallies: Tallies::empty(&poll) };
        Self { poll, state: Mutex::new(state) }
    }

    /// Every ballot that was brought here, and what was done with it.
    pub fn tried(&self) -> Vec<(BallotId, Step)> {
        self.state.lock().unwrap().tried.clone()
    }
}

fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Rejected("this store only records".to_owned()))
}

/// An outcome that no other ballot of a test has.
pub fn own_outcome(id: BallotId) -> Outcome {
    Outcome::OptionQuotaUsed(OptionId(id.0.as_u128() as u16))
}

#[async_trait]
impl BallotStore for ScriptedStore {
    async fn record(&self, ballots: &[Ballot]) -> Result<Recorded, StoreError> {
        let mut state = self.state.lock().unwrap();
        let step = state.script.pop_front().unwrap_or(Step::Record);
        state.tried.extend(ballots.iter().map(|ballot| (ballot.id, step)));
        match step {
            Step::Record => {
                for chosen in ballots.iter().flat_map(|ballot| ballot.choices.as_slice()) {
                    let count = state.tallies.counts.iter_mut().find(|(option, _)| option == chosen).unwrap();
                    count.1 += 1;
                }
                state.tallies.voters += ballots.len() as u64;
                state.tallies.seq += 1;
                Ok(Recorded {
                    outcomes: ballots.iter().map(|ballot| own_outcome(ballot.id)).collect(),
                    tallies: vec![state.tallies.clone()],
                })
            }
            Step::Unavailable => Err(StoreError::Unavailable("as the script says".into())),
            Step::Unknown => Err(StoreError::Unknown("as the script says".into())),
            Step::WriteFailed => Err(StoreError::WriteFailed("as the script says".into())),
        }
    }

    async fn tallies(&self, _: PollId) -> Result<Tallies, StoreError> {
        Ok(self.state.lock().unwrap().tallies.clone())
    }

    async fn detailed_tallies(&self, _: PollId) -> Result<DetailedTallies, StoreError> {
        not_here()
    }

    async fn change_tallies(&self, _: &TallyChange) -> Result<Tallies, StoreError> {
        not_here()
    }

    async fn recount_by(&self, _: PollId, _: Option<Vec<Void>>) -> Result<Recount, StoreError> {
        not_here()
    }

    async fn ballots(&self, _: PollId, _: Option<Cursor>, _: usize) -> Result<BallotPage, StoreError> {
        not_here()
    }

    async fn cast(&self, _: PollId, _: RangeInclusive<BallotKey>) -> Result<Vec<CastBallot>, StoreError> {
        not_here()
    }
}

#[async_trait]
impl PollStore for ScriptedStore {
    async fn polls(&self) -> Result<Vec<Poll>, StoreError> {
        Ok(vec![self.poll.clone()])
    }

    async fn polls_version(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn poll_entries(&self, _: u64) -> Result<Vec<PollEntry>, StoreError> {
        let Poll { id, slug, version, opens_at, .. } = self.poll.clone();
        let (is_closed, is_final, is_archived) = (false, false, false);
        Ok(vec![PollEntry {
            id,
            slug,
            version,
            changed: 1,
            opens_at,
            closes_at: None,
            is_closed,
            is_final,
            is_archived,
        }])
    }

    async fn latest_slugs(&self, _: usize) -> Result<Vec<Slug>, StoreError> {
        not_here()
    }

    async fn polls_by_id(&self, _: &[PollId]) -> Result<Vec<Poll>, StoreError> {
        self.polls().await
    }

    async fn poll(&self, _: &Slug) -> Result<Option<Poll>, StoreError> {
        not_here()
    }

    async fn create_poll(&self, _: NewPoll, _: &Author) -> Result<Poll, StoreError> {
        not_here()
    }

    async fn change_poll(&self, _: PollId, _: u64, _: PollChange, _: &Author) -> Result<Poll, StoreError> {
        not_here()
    }

    async fn delete_poll(&self, _: PollId, _: u64, _: &Author) -> Result<(), StoreError> {
        not_here()
    }

    async fn audit_log(&self, _: Option<&Slug>, _: Option<u64>, _: usize) -> Result<Vec<AuditEntry>, StoreError> {
        not_here()
    }

    async fn mark(&self, _: &[(PollId, u64)], _: Mark) -> Result<usize, StoreError> {
        not_here()
    }
}

#[async_trait]
impl AdminTokenStore for ScriptedStore {
    async fn create_token(&self, _: NewAdminToken, _: &Author) -> Result<AdminToken, StoreError> {
        not_here()
    }

    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        not_here()
    }

    async fn revoke_token(&self, _: u32, _: &Author) -> Result<AdminToken, StoreError> {
        not_here()
    }
}

#[async_trait]
impl WebhookStore for ScriptedStore {
    async fn create_webhook(&self, _: NewWebhook, _: &Author) -> Result<Webhook, StoreError> {
        not_here()
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        not_here()
    }

    async fn delete_webhook(&self, _: u32, _: &Author) -> Result<Webhook, StoreError> {
        not_here()
    }

    async fn add_openings(&self, _: &[PollId]) -> Result<(), StoreError> {
        not_here()
    }

    async fn claim_delivery(&self, _: u32, _: Timestamp, _: Timestamp) -> Result<Option<Delivery>, StoreError> {
        not_here()
    }

    async fn end_delivery(&self, _: &Delivery, _: &Attempt, _: AfterAttempt) -> Result<(), StoreError> {
        not_here()
    }

    async fn forget_deliveries(&self, _: Timestamp) -> Result<(), StoreError> {
        not_here()
    }
}

#[async_trait]
impl ShowStore for ScriptedStore {
    async fn shows(&self) -> Result<Vec<Show>, StoreError> {
        Ok(Vec::new())
    }

    async fn put_show(&self, _: &Show, _: &Author) -> Result<(), StoreError> {
        not_here()
    }

    async fn delete_show(&self, _: &Show, _: &Author) -> Result<(), StoreError> {
        not_here()
    }
}

#[async_trait]
impl CodeStore for ScriptedStore {
    async fn begin_code_batch(
        &self,
        _: PollId,
        _: &BatchName,
        _: Timestamp,
        _: &Author,
    ) -> Result<CodeBatch, StoreError> {
        not_here()
    }

    async fn add_codes(&self, _: PollId, _: u32, _: &[VoterKey]) -> Result<(), StoreError> {
        not_here()
    }

    async fn mark_batch_exported(&self, _: PollId, _: u32, _: Timestamp) -> Result<(), StoreError> {
        not_here()
    }

    async fn revoke_code_batch(&self, _: PollId, _: u32, _: Timestamp, _: &Author) -> Result<(), StoreError> {
        not_here()
    }

    async fn code_batches(&self, _: PollId) -> Result<Vec<CodeBatch>, StoreError> {
        not_here()
    }

    async fn valid_codes(&self, _: PollId, _: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError> {
        not_here()
    }
}

#[async_trait]
impl Rounds for ScriptedStore {
    async fn begin_round(&self, _: i64) -> Result<Round, StoreError> {
        not_here()
    }

    async fn round(&self) -> Result<u64, StoreError> {
        not_here()
    }

    async fn add_queue(&self, _: &str) -> Result<(), StoreError> {
        not_here()
    }

    async fn queues(&self) -> Result<Vec<String>, StoreError> {
        not_here()
    }

    async fn report(&self, _: &ConsumerReport) -> Result<(), StoreError> {
        not_here()
    }

    async fn reports(&self, _: u64) -> Result<Vec<ConsumerReport>, StoreError> {
        not_here()
    }
}
