//! Invitation codes, as they are stored: without the codes themselves.

use async_trait::async_trait;

use super::error::StoreError;
use crate::audit::Author;
use crate::ballot::VoterKey;
use crate::clock::Timestamp;
use crate::code::BatchName;
use crate::ids::PollId;

/// The most codes that are added by one call: a file is locked for some milliseconds.
pub const CODES_ADDED_MAX: usize = 5_000;

/// The most codes that are looked up by one call.
pub const CODES_LOOKED_UP_MAX: usize = 500;

/// Stores the codes of polls with the policy `code`. A code is represented by the pseudonym of who votes with it.
///
/// Each call is one transaction, durable when it returns `Ok`.
#[async_trait]
pub trait CodeStore: Send + Sync + std::fmt::Debug {
    /// Begins a batch, without codes yet, and notes in the audit log who did. It gets the next number in its poll, from 1.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the poll has a batch of this name; [`StoreError::Rejected`] if there is no such poll.
    async fn begin_code_batch(
        &self,
        poll: PollId,
        name: &BatchName,
        made_at: Timestamp,
        by: &Author,
    ) -> Result<CodeBatch, StoreError>;

    /// Adds codes, at most [`CODES_ADDED_MAX`], to the poll's batch with this number: all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the batch doesn't exist, or is exported or revoked; [`StoreError::Conflict`] if the poll has one
    /// of the codes already.
    async fn add_codes(&self, poll: PollId, batch: u32, codes: &[VoterKey]) -> Result<(), StoreError>;

    /// Stores that all codes of the batch were handed out, so that it gets no more of them.
    async fn mark_batch_exported(&self, poll: PollId, batch: u32, at: Timestamp) -> Result<(), StoreError>;

    /// Revokes a batch, and notes in the audit log who did: from now on none of its codes is valid, and it gets no more of them. One
    /// that is revoked already stays as it is, and nothing is noted.
    async fn revoke_code_batch(&self, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> Result<(), StoreError>;

    /// The poll's batches, by their numbers.
    async fn code_batches(&self, poll: PollId) -> Result<Vec<CodeBatch>, StoreError>;

    /// Which of these codes, at most [`CODES_LOOKED_UP_MAX`], are the poll's and not revoked, in any order. Each is looked up by its
    /// key, however many there are.
    async fn valid_codes(&self, poll: PollId, codes: &[VoterKey]) -> Result<Vec<VoterKey>, StoreError>;
}

impl CodeBatch {
    /// What the audit log says of the batch with this number.
    pub fn audited(number: u32, name: &str) -> serde_json::Value {
        serde_json::json!({ "batch": { "number": number, "name": name } })
    }
}

/// A batch of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBatch {
    /// Its number in its poll.
    pub number: u32,
    /// Its name.
    pub name: BatchName,
    /// How many codes it has.
    pub codes: u64,
    /// When it was begun.
    pub made_at: Timestamp,
    /// When all of its codes had been handed out; `None` while that is under way, or if it was interrupted.
    pub exported_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
