//! Tokens of those who administer polls, as they are stored: without their secrets.

use async_trait::async_trait;

use super::error::StoreError;
use crate::admin_token::{AdminToken, NewAdminToken};
use crate::audit::Author;

/// Stores the tokens of those who administer polls. Each change is one transaction, with a note in the audit log.
#[async_trait]
pub trait AdminTokenStore: Send + Sync + std::fmt::Debug {
    /// Stores a new token. It gets the next number, from 1, and is dated by the database's clock.
    async fn create_token(&self, new: NewAdminToken, by: &Author) -> Result<AdminToken, StoreError>;

    /// Every token, by its number, expired and revoked ones too.
    async fn tokens(&self) -> Result<Vec<AdminToken>, StoreError>;

    /// Revokes a token, and returns it. One that is revoked already stays as it is, and nothing is noted.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if there is no such token.
    async fn revoke_token(&self, number: u32, by: &Author) -> Result<AdminToken, StoreError>;
}
