//! The worker: consumes ballots from the queue and records them.
//!
//! ```text
//! deliveries ─► consumer ─ store.record ─► broadcaster ─► nodes, cache
//!      ▲            │
//!      └── done ────┘   after COMMIT
//! ```
//!
//! If a worker terminates, the broker redelivers the messages that it had not acknowledged, and recording those again changes
//! nothing. While the database is unavailable, a worker keeps its messages and retries: it returns none to the queue, so no
//! message is redelivered until the broker gives up on it.

mod broadcaster;
mod consumer;
mod round_reporter;
mod server;

pub use self::broadcaster::ResultBroadcaster;
pub use self::consumer::{Consumer, ConsumerError};
pub use self::round_reporter::{KnownRound, watch_rounds};
pub use self::server::{Health, ensure_free, serve};
