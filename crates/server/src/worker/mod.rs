//! The worker: takes ballots off the queue and records them.
//!
//! ```text
//! deliveries ─► consumer ─ store.record ─► broadcaster ─► nodes, cache
//!      ▲            │
//!      └── done ────┘   after COMMIT
//! ```
//!
//! If a worker dies, the broker redelivers what it had not acknowledged, and recording that again changes nothing. While the
//! database is away a worker keeps what it has and retries: it returns nothing to the queue, so no message is redelivered
//! until the broker gives up on it.

mod answering;
mod broadcaster;
mod consumer;
mod server;

pub use self::answering::{KnownRound, watch_rounds};
pub use self::broadcaster::ResultBroadcaster;
pub use self::consumer::{Consumer, ConsumerError};
pub use self::server::{Health, ensure_free, serve};
