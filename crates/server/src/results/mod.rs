//! Results: for each poll one snapshot of its tallies, made once a commit and read by everybody.

mod live;
mod origin;
mod snapshot;

pub use self::live::{LivePoll, LivePolls};
pub use self::origin::Origin;
pub use self::snapshot::{Rendered, SharedSnapshot, Snapshot};
