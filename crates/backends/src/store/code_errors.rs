//! What the stores report of codes that can't be stored.

use throng_domain::code::BatchName;
use throng_domain::poll::PollId;
use throng_domain::store::StoreError;

/// The poll has a batch of this name.
pub(super) fn batch_taken(name: &BatchName) -> StoreError {
    StoreError::Conflict(format!("there is a batch `{name}` of codes in this poll already; choose another name"))
}

/// The poll has one of the codes: two that are random are the same.
pub(super) fn code_taken() -> StoreError {
    StoreError::Conflict("the poll has one of these codes already".to_owned())
}

/// The batch takes no codes.
pub(super) fn no_open_batch(poll: PollId, batch: u32) -> StoreError {
    StoreError::Rejected(format!("poll number {} has no batch {batch} that takes more codes", poll.0))
}
