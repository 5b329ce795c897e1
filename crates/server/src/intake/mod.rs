//! Intake: admits ballots, collects them, has them made durable, and answers each by itself.
//!
//! ```text
//! handler ─ submit ─► desk (one a core) ─┐                      ┌─► desk ─► handler
//! handler ─ submit ─► desk               ├─► recorder ─ record ─┤
//! handler ─ submit ─► desk ──────────────┘   (one thread)       └─► desk ─► handler
//! ```
//!
//! This is group commit with no timer: while one batch is being recorded, the next one gathers at the desks. One
//! voter alone waits for one sync of the disk, ten thousand share it.
//!
//! Where a broker stands between, each core has a courier instead, which publishes its desk's ballots, batch after batch,
//! and answers when the broker has confirmed; workers record them later.
//!
//! A ballot that was admitted is recorded whatever becomes of the client: the desk owns it, not the handler.

mod ballot_ids;
mod complaints;
mod courier;
mod desk;
mod precedence;
mod recorder;

use bytes::Bytes;
use throng_domain::store::Outcome;

pub use self::ballot_ids::BallotIds;
pub use self::complaints::Complaints;
pub use self::courier::{CONFIRMED_WITHIN_MS, Courier};
pub use self::desk::Desk;
pub use self::recorder::{Failed, Recorder, RecorderThread, WriteFailure};

/// The ballots that may wait for the disk at once, at all desks together. At 100,000 a second the last of them waits
/// about a third of a second; each takes some 300 bytes.
pub const BALLOTS_WAITING_MAX: usize = 32_768;

/// What spans of batches are filtered by: one for each time that a batch is recorded or published.
pub const BATCH_SPANS: &str = "throng::batch";

/// What the handler of a ballot gets once the ballot is safe.
#[derive(Debug)]
pub struct Settled {
    /// What came of it.
    pub fate: Fate,
    /// The poll's result as the original routes send it: with this ballot in it if it is recorded, else the latest. A
    /// copy of the core's own: cores that share one fight over its count of references.
    pub result: Bytes,
}

/// What came of a ballot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The store has it, or has refused it for good.
    Recorded(Outcome),
    /// The broker has it safe, and a worker will record it.
    Accepted,
}

/// Why a ballot has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRecorded {
    /// Too many are waiting: nothing was taken.
    Busy,
    /// The store couldn't take it: nothing was recorded.
    Unavailable,
    /// A write failed, and whether it was recorded isn't known. The same ballot may be sent again.
    Unknown,
}
