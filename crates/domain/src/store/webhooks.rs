//! Webhooks, and the messages that they are to get, as they are stored.

use async_trait::async_trait;

use super::error::StoreError;
use crate::audit::Author;
use crate::clock::Timestamp;
use crate::ids::PollId;
use crate::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, Webhook};

/// Stores webhooks and their messages.
///
/// The messages about a poll's close and final result are stored by [`PollStore::mark`](super::PollStore::mark), in the mark's
/// transaction: one for each webhook that existed at that time, none for a rehearsal. A webhook has one message for each event of a
/// poll and the time at which it occurred.
#[async_trait]
pub trait WebhookStore: Send + Sync + std::fmt::Debug {
    /// Stores a new webhook, dated by the database's clock, and notes in the audit log who made it.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there are [`WEBHOOKS_MAX`](crate::webhook::WEBHOOKS_MAX).
    async fn create_webhook(&self, new: NewWebhook, by: &Author) -> Result<Webhook, StoreError>;

    /// Every webhook, by its number.
    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError>;

    /// Deletes a webhook with all of its messages, notes in the audit log who did, and returns it.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such webhook.
    async fn delete_webhook(&self, number: u32, by: &Author) -> Result<Webhook, StoreError>;

    /// Stores the messages about the openings of these polls, of which the caller knows that they have opened. Any number of times: a
    /// message that exists stays as it is.
    async fn add_openings(&self, polls: &[PollId]) -> Result<(), StoreError>;

    /// Claims the first of a webhook's messages that is due at `now`, if there is one: until `lease_until`, no other caller gets it. If it
    /// isn't [ended](Self::end_delivery) by then, it is due again.
    async fn claim_delivery(
        &self,
        webhook: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError>;

    /// Stores how an attempt ended, and what becomes of the message, unless another attempt has begun since.
    async fn end_delivery(&self, delivery: &Delivery, attempt: &Attempt, after: AfterAttempt)
    -> Result<(), StoreError>;

    /// Deletes messages that ended before this time.
    async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError>;
}
