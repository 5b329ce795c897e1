//! The worker: takes ballots off the queue and records them.
//!
//! ```text
//! deliveries ─► recording ─ store.record ─► herald ─► announcements, cache
//!      ▲            │
//!      └── done ────┘   after COMMIT
//! ```
//!
//! Whatever kills it, the broker delivers again what it wasn't done with, and recording it again changes nothing. While
//! the database is away it keeps what it has and tries again: nothing is given back, so nothing is thrown about until
//! the broker gives up on it.

mod answering;
mod herald;
mod recording;
mod server;

pub use self::answering::{KnownRound, watch_rounds};
pub use self::herald::Herald;
pub use self::recording::{Recording, RecordingError};
pub use self::server::{Health, ensure_free, serve};
