//! Intake: admits ballots, collects them into batches, makes them durable, and reports each ballot's outcome by itself.
//!
//! ```text
//! handler ─ submit ─► ballot queue (one per core) ─┐                      ┌─► ballot queue ─► handler
//! handler ─ submit ─► ballot queue                 ├─► recorder ─ record ─┤
//! handler ─ submit ─► ballot queue ────────────────┘   (one thread)       └─► ballot queue ─► handler
//! ```
//!
//! This is group commit without a timer: while one batch is being recorded, the next one gathers in the ballot queues. A
//! single voter waits for one sync of the disk, ten thousand share it.
//!
//! Where a broker stands between, each core has a publish loop instead, which publishes its ballot queue's ballots, batch after batch,
//! and answers when the broker has confirmed; workers record them later.
//!
//! An admitted ballot is recorded even if the client disconnects: the ballot queue owns it, not the handler.

mod ballot_ids;
mod ballot_queue;
mod batch_failure_log;
mod precedence;
mod publish_loop;
mod recorder;

use bytes::Bytes;
use throng_domain::store::Outcome;

pub use self::ballot_ids::BallotIds;
pub use self::ballot_queue::BallotQueue;
pub use self::batch_failure_log::BatchFailureLog;
pub use self::publish_loop::{CONFIRMED_WITHIN_MS, PublishLoop};
pub use self::recorder::{IntakeFailure, Recorder, RecorderThread, WriteFailure};

/// The ballots that may wait at once in all ballot queues together. At 100,000 per second the last one waits about a third
/// of a second; each takes some 300 bytes.
pub const BALLOTS_WAITING_MAX: usize = 32_768;

/// The target of the spans of batches: one each time that a batch is recorded or published.
pub const BATCH_SPANS: &str = "throng::batch";

/// What a ballot's handler receives once the ballot is durable.
#[derive(Debug)]
pub struct Submitted {
    /// Where the ballot is now.
    pub disposition: Disposition,
    /// The poll's result as the original routes send it: with this ballot in it if it is recorded, else the latest. A
    /// copy of the core's own: cores that share one fight over its count of references.
    pub result: Bytes,
}

/// Where a ballot is that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The store has it, or has refused it for good.
    Recorded(Outcome),
    /// It is durable at the broker, and a worker will record it.
    Accepted,
}

/// Why a ballot has no disposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// Too many are waiting: nothing was taken.
    Busy,
    /// The store couldn't take it: nothing was recorded.
    Unavailable,
    /// A write failed, and whether the ballot was recorded is unknown. The same ballot may be submitted again.
    Unknown,
}
