//! The schema, and what else is asked of a database before it is used.

use async_trait::async_trait;

use super::error::StoreError;
use crate::clock::Timestamp;

/// The schema, settings and clock of a database, as used by the start of a server, `throng schema` and `throng doctor`.
#[async_trait]
pub trait Schema: Send + Sync + std::fmt::Debug {
    /// Brings the schema up to date, step by step and forward only; returns the names of the steps that it applied. Two
    /// processes may do it at the same time.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the schema is that of a later version of Throng.
    async fn migrate(&self) -> Result<Vec<&'static str>, StoreError>;

    /// Every step of the schema in order, and whether this database has it.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the schema is that of a later version of Throng.
    async fn migration_states(&self) -> Result<Vec<MigrationState>, StoreError>;

    /// Settings of the database with which an acknowledged commit could be lost, each as a message that includes the
    /// value to set instead; empty where commits are durable.
    async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError>;

    /// The time by the database's own clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// A step of the schema, and whether a database has it. Steps have the same numbers and names in every database.
#[derive(Clone, Copy, Debug)]
pub struct MigrationState {
    /// Its place in the order, from 1.
    pub version: u32,
    /// Its name; it begins with its number.
    pub name: &'static str,
    /// Whether it was applied.
    pub applied: bool,
}
