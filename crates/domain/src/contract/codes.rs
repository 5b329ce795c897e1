//! Invitation codes: valid in one poll, until their batch is revoked.

use super::support::{OPENS_AT, ballot, done, new_poll, record, tallies};
use crate::audit::{Action, Author};
use crate::ballot::{Ballot, VoterKey};
use crate::code::BatchName;
use crate::ids::PollId;
use crate::new_poll::NewPoll;
use crate::policy::Policy;
use crate::poll::Poll;
use crate::store::{CODES_ADDED_MAX, CODES_LOOKED_UP_MAX, CodeBatch, Outcome, Store, StoreError};

async fn create(store: &dyn Store, slug: &str) -> Poll {
    done(store.create_poll(NewPoll { policy: Policy::Code, ..new_poll(slug) }, &Author::THRONG).await)
}

fn name(number: u32) -> BatchName {
    BatchName::of_number(number)
}

/// The `number`th code of a test.
fn code(number: u32) -> VoterKey {
    let mut key = [0; 15];
    key[..4].copy_from_slice(&number.to_le_bytes());
    VoterKey(key)
}

/// A batch with these codes, exported.
async fn batch(store: &dyn Store, poll: &Poll, number: u32, codes: &[VoterKey]) -> CodeBatch {
    let batch = done(store.begin_code_batch(poll.id, &name(number), OPENS_AT, &Author::THRONG).await);
    done(store.add_codes(poll.id, batch.number, codes).await);
    done(store.mark_batch_exported(poll.id, batch.number, OPENS_AT.plus_ms(1)).await);
    batch
}

async fn valid(store: &dyn Store, poll: &Poll, codes: &[VoterKey]) -> Vec<VoterKey> {
    let mut valid = done(store.valid_codes(poll.id, codes).await);
    valid.sort_unstable();
    valid
}

/// A code is valid in its poll, from the call that adds it until its batch is revoked.
pub async fn codes_are_valid_in_their_poll_until_revoked(store: &dyn Store) {
    let (poll, other) = (create(store, "poll").await, create(store, "other").await);
    let all: Vec<_> = (1..=4).map(code).collect();
    assert_eq!(valid(store, &poll, &all).await, []);
    let first = done(store.begin_code_batch(poll.id, &name(1), OPENS_AT, &Author::THRONG).await);
    assert_eq!((first.number, &first.name, first.codes, first.made_at), (1, &name(1), 0, OPENS_AT));
    done(store.add_codes(poll.id, 1, &all[..1]).await);
    assert_eq!(valid(store, &poll, &all).await, all[..1]);
    done(store.add_codes(poll.id, 1, &all[1..2]).await);
    done(store.mark_batch_exported(poll.id, 1, OPENS_AT.plus_ms(1)).await);
    let second = batch(store, &poll, 2, &all[2..3]).await;
    batch(store, &other, 1, &all[3..]).await;
    assert_eq!(valid(store, &poll, &all).await, all[..3]);
    assert_eq!(valid(store, &other, &all).await, all[3..]);
    assert_eq!(valid(store, &poll, &[all[1]]).await, all[1..2]);
    for at in [2, 3] {
        done(store.revoke_code_batch(poll.id, 1, OPENS_AT.plus_ms(at), &Author::THRONG).await);
        assert_eq!(valid(store, &poll, &all).await, all[2..3]);
    }
    let exported_at = Some(OPENS_AT.plus_ms(1));
    let revoked = CodeBatch { codes: 2, exported_at, revoked_at: Some(OPENS_AT.plus_ms(2)), ..first };
    let second = CodeBatch { codes: 1, exported_at, ..second };
    assert_eq!(done(store.code_batches(poll.id).await), [revoked, second]);
    assert_eq!(done(store.code_batches(PollId(poll.id.0 + 1_000)).await), []);
    let log = done(store.audit_log(Some(&poll.slug), None, 10).await);
    let noted: Vec<_> = log.iter().map(|entry| (entry.action, &entry.changes["batch"]["name"])).collect();
    let (first, second) = (serde_json::json!("batch-1"), serde_json::json!("batch-2"));
    assert_eq!(
        noted[..3],
        [(Action::RevokeCodes, &first), (Action::CreateCodes, &second), (Action::CreateCodes, &first)]
    );
}

/// Where one of the codes can't be added, none is.
pub async fn batch_of_codes_is_added_whole_or_not_at_all(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let all: Vec<_> = (1..=3).map(code).collect();
    batch(store, &poll, 1, &all[1..2]).await;
    let second = done(store.begin_code_batch(poll.id, &name(2), OPENS_AT, &Author::THRONG).await);
    let taken = store.add_codes(poll.id, second.number, &all).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(valid(store, &poll, &all).await, all[1..2]);
    assert_eq!(done(store.code_batches(poll.id).await)[1], second);
    done(store.add_codes(poll.id, second.number, &[all[0], all[2]]).await);
    assert_eq!(valid(store, &poll, &all).await, all);
}

/// A batch that was handed out, or is revoked, stays as it is.
pub async fn exported_or_revoked_batch_gets_no_more_codes(store: &dyn Store) {
    let poll = create(store, "poll").await;
    batch(store, &poll, 1, &[code(1)]).await;
    done(store.begin_code_batch(poll.id, &name(2), OPENS_AT, &Author::THRONG).await);
    done(store.revoke_code_batch(poll.id, 2, OPENS_AT, &Author::THRONG).await);
    for number in [1, 2, 3] {
        let refused = store.add_codes(poll.id, number, &[code(2)]).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "{number}: {refused:?}");
    }
    assert_eq!(valid(store, &poll, &[code(2)]).await, []);
}

/// A poll's batches have different names.
pub async fn name_of_a_batch_is_taken_once(store: &dyn Store) {
    let (poll, other) = (create(store, "poll").await, create(store, "other").await);
    done(store.begin_code_batch(poll.id, &name(7), OPENS_AT, &Author::THRONG).await);
    let taken = store.begin_code_batch(poll.id, &name(7), OPENS_AT, &Author::THRONG).await;
    assert!(matches!(&taken, Err(StoreError::Conflict(why)) if why.contains("batch-7")), "{taken:?}");
    assert_eq!(done(store.begin_code_batch(poll.id, &name(8), OPENS_AT, &Author::THRONG).await).number, 2);
    assert_eq!(done(store.begin_code_batch(other.id, &name(7), OPENS_AT, &Author::THRONG).await).number, 1);
    let missing = store.begin_code_batch(PollId(poll.id.0 + 1_000), &name(1), OPENS_AT, &Author::THRONG).await;
    assert!(matches!(missing, Err(StoreError::Rejected(_))), "{missing:?}");
}

/// As many codes as one call may have.
pub async fn largest_calls_for_codes_succeed(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let all: Vec<_> = (0..CODES_ADDED_MAX as u32).map(code).collect();
    done(store.begin_code_batch(poll.id, &name(1), OPENS_AT, &Author::THRONG).await);
    done(store.add_codes(poll.id, 1, &[]).await);
    done(store.add_codes(poll.id, 1, &all).await);
    assert_eq!(done(store.code_batches(poll.id).await)[0].codes, all.len() as u64);
    let mut asked: Vec<_> = all.iter().rev().take(CODES_LOOKED_UP_MAX - 1).copied().collect();
    asked.push(code(u32::MAX));
    let found = valid(store, &poll, &asked).await;
    assert_eq!(found.len(), CODES_LOOKED_UP_MAX - 1);
    assert_eq!(valid(store, &poll, &[]).await, []);
}

/// Who votes with a code is a voter like others, whatever becomes of the code.
pub async fn a_codes_ballots_count_once(store: &dyn Store) {
    let poll = create(store, "poll").await;
    batch(store, &poll, 1, &[code(1)]).await;
    let cast = |number| {
        let Ballot { id, choices, accepted_at, .. } = ballot(&poll, number, &[1]);
        Ballot::of_voter(poll.id, Policy::Code, code(1), id, choices, accepted_at)
    };
    let recorded = record(store, &[cast(1), cast(2)]).await;
    let used = Outcome::QuotaUsed { ballots: 1, only: Some(cast(1).choices) };
    assert_eq!(recorded.outcomes, [Outcome::Counted, used]);
    done(store.revoke_code_batch(poll.id, 1, OPENS_AT, &Author::THRONG).await);
    assert_eq!(record(store, &[cast(1)]).await.outcomes, [Outcome::CountedBefore]);
    assert_eq!(tallies(store, &poll).await.voters, 1);
}
