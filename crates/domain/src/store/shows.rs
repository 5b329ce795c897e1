//! Shows, as they are stored.

use async_trait::async_trait;

use super::error::StoreError;
use crate::audit::Author;
use crate::show::Show;

/// Stores shows. Each change is one transaction, with a note in the audit log.
#[async_trait]
pub trait ShowStore: Send + Sync + std::fmt::Debug {
    /// Every show, by its slug.
    async fn shows(&self) -> Result<Vec<Show>, StoreError>;

    /// Stores a show: a new one at version 1, or a change of the one that is at the version before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another one has the slug, or the stored one is at another version, or doesn't exist;
    /// [`StoreError::Rejected`] if it breaks a rule of [`Show::faults`], or there are [`SHOWS_MAX`](crate::show::SHOWS_MAX).
    async fn put_show(&self, show: &Show, by: &Author) -> Result<(), StoreError>;

    /// Deletes a show, which must still be as it was read. Its polls stay.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is at another version, or doesn't exist.
    async fn delete_show(&self, show: &Show, by: &Author) -> Result<(), StoreError>;
}
