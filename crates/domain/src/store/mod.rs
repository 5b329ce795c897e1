//! The interface to a database, split by who uses it: [`BallotStore`] and [`PollStore`] for what voters and operators
//! do, [`CodeStore`] for invitation codes, [`AdminTokenStore`] for those who administer polls over HTTP, [`WebhookStore`] for those who are told of polls, [`ShowStore`] for sequences of polls, [`Rounds`] for what has to be reported before a result is final, [`Schema`] for the
//! database itself.
//!
//! To add one: implement these eight, then run `throng_domain::contract` (feature `contract`) against it. A missing row
//! is `Ok(None)`; every error is a [`StoreError`], whose variants determine what the caller can do.

mod admin_tokens;
mod ballots;
mod cast_ballots;
mod codes;
mod error;
mod polls;
mod rules;
mod schema;
mod shows;
mod webhooks;

pub use self::admin_tokens::AdminTokenStore;
pub use self::ballots::{BallotPage, BallotStore, Cursor, LogReader, LogState, Outcome, Process, Recorded, Recount};
pub use self::cast_ballots::{BallotSum, CastBallot, Standing, Voided};
pub use self::codes::{CODES_ADDED_MAX, CODES_LOOKED_UP_MAX, CodeBatch, CodeStore};
pub use self::error::{Source, StoreError};
pub use self::polls::{PollEntry, PollStore};
pub use self::rules::{Admitted, Effect, Rules};
pub use self::schema::{MigrationState, Schema};
pub use self::shows::ShowStore;
pub use self::webhooks::WebhookStore;
pub use crate::poll::Mark;
use crate::rounds::Rounds;
pub use crate::window::{Close, Window};

/// Everything that servers and workers store.
pub trait Store: BallotStore + PollStore + CodeStore + AdminTokenStore + WebhookStore + ShowStore + Rounds {}

impl<T: BallotStore + PollStore + CodeStore + AdminTokenStore + WebhookStore + ShowStore + Rounds> Store for T {}

/// A store together with its schema.
pub trait Database: Store + Schema {}

impl<T: Store + Schema> Database for T {}
