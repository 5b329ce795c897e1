//! Why a call to a store failed: each variant answers what the caller can do.

use crate::ids::{PollId, Slug};
use crate::webhook::WEBHOOKS_MAX;

/// Why a call to a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or is busy. Nothing happened; the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Source),
    /// A concurrent change was faster. Read again, then decide.
    #[error("{0}")]
    Conflict(String),
    /// The request can't be fulfilled, now or later.
    #[error("{0}")]
    Rejected(String),
    /// The connection was lost, or the response timed out, around the commit: it may have happened or not. Continue,
    /// and repeat the call when the store can be reached: what is already recorded isn't recorded twice.
    #[error("the outcome of a store operation is unknown: {0}")]
    Unknown(#[source] Source),
    /// A write failed and what reached the disk is unknown. Record nothing more: exit, and let the next start recover
    /// from what was stored.
    #[error("the store failed while writing: {0}")]
    WriteFailed(#[source] Source),
    /// The store that was opened is no longer the one at its address: it was moved, deleted or replaced. What was
    /// recorded before this call is in the store that was opened; whether what this call recorded is, is unknown.
    /// Record nothing more and exit.
    #[error("{0}")]
    Displaced(String),
    /// The stored data isn't what was written.
    #[error("the store's data is damaged: {0}")]
    Corrupt(#[source] Source),
}

impl StoreError {
    /// The error of a call for a poll that doesn't exist.
    pub fn no_such_poll(poll: PollId) -> Self {
        Self::Rejected(format!("there is no poll number {}", poll.0))
    }

    /// The error of a call for a token that doesn't exist.
    pub fn no_such_token(number: u32) -> Self {
        Self::Rejected(format!("there is no token number {number}"))
    }

    /// The error of a call for a webhook that doesn't exist.
    pub fn no_such_webhook(number: u32) -> Self {
        Self::Rejected(format!("there is no webhook number {number}"))
    }

    /// The error of a webhook too many.
    pub fn too_many_webhooks() -> Self {
        Self::Rejected(format!("there are {WEBHOOKS_MAX} webhooks, which is the most; delete one first"))
    }

    /// The error of a change of a show that is at another version, or doesn't exist.
    pub fn show_changed(slug: &Slug) -> Self {
        Self::Conflict(format!("the show `{slug}` was changed meanwhile, or doesn't exist; look at it again"))
    }

    /// The error of a new show whose slug another one has.
    pub fn show_exists(slug: &Slug) -> Self {
        Self::Conflict(format!("there is a show `{slug}` already; choose another slug"))
    }

    /// The error of a show too many.
    pub fn too_many_shows(most: usize) -> Self {
        Self::Rejected(format!("there are {most} shows, which is the most; delete one first"))
    }

    /// Whether the same call may succeed later without intervention.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unknown(_) => true,
            Self::Conflict(_) | Self::Rejected(_) | Self::WriteFailed(_) | Self::Displaced(_) | Self::Corrupt(_) => {
                false
            }
        }
    }
}

/// The error that caused a [`StoreError`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;
