//! Intake: admits ballots, collects them into batches, makes them durable, and reports each ballot's outcome by itself.
//!
//! ```text
//! handler ─ submit ─► ballot queue (one per core) ─┐                      ┌─► ballot queue ─► handler
//! handler ─ submit ─► ballot queue                 ├─► recorder ─ record ─┤
//! handler ─ submit ─► ballot queue ────────────────┘   (one thread)       └─► ballot queue ─► handler
//! ```
//!
//! This is group commit without a timer: while one batch is being recorded, the next one gathers in the ballot queues. A
//! single voter waits for one sync of the disk; ten thousand voters share one.
//!
//! Behind a broker, each core has a publish loop instead, which publishes the ballots of its ballot queue, batch after batch,
//! and responds once the broker has confirmed them; workers record them later.
//!
//! An admitted ballot is recorded even if the client disconnects: the ballot queue owns it, not the handler.

mod ballot_ids;
mod ballot_queue;
mod batch_failure_log;
mod code_checks;
mod network_limit;
mod publish_loop;
mod queue_metrics;
mod recorder;

use bytes::Bytes;
use throng_domain::store::Outcome;

pub use self::ballot_ids::BallotIds;
pub use self::ballot_queue::BallotQueue;
pub use self::batch_failure_log::BatchFailureLog;
pub use self::code_checks::CodeChecks;
pub use self::network_limit::{NetworkLimit, ShareUsed};
pub use self::publish_loop::{CONFIRMED_WITHIN_MS, PublishLoop};
pub use self::queue_metrics::AdmissionCollector;
pub use self::recorder::{IntakeFailure, Recorder, RecorderThread, WriteFailure};

/// The most ballots that may wait at once in all ballot queues together. At 100,000 per second the last one waits about a third
/// of a second; each uses about 300 bytes.
pub const BALLOTS_WAITING_MAX: usize = 32_768;

/// The target of the spans of batches: one span each time a batch is recorded or published.
pub const BATCH_SPANS: &str = "throng::batch";

/// What a ballot's handler receives once the ballot is durable.
#[derive(Debug)]
pub struct Submitted {
    /// The ballot's disposition.
    pub disposition: Disposition,
    /// The poll's result as the compatibility routes send it: including this ballot if it is recorded, else the latest result.
    /// A copy per core, since cores that share one would contend for its reference count.
    pub result: Bytes,
}

/// Where an accepted ballot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The store has recorded it, or has rejected it permanently.
    Recorded(Outcome),
    /// It is durable at the broker, and a worker will record it.
    Accepted,
}

/// Why a ballot has no disposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// Too many ballots are waiting: the ballot was not accepted.
    Busy,
    /// The store or the broker couldn't accept it: nothing was recorded.
    Unavailable,
    /// A write failed, and whether the ballot was recorded is unknown. The same ballot may be submitted again.
    Unknown,
}
