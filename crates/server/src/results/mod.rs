//! Results: one snapshot of the tallies per poll, made once per commit and shared by all readers.

mod live;
mod snapshot;
mod source;

pub use self::live::{LivePoll, LivePolls};
pub use self::snapshot::{Rendered, SharedSnapshot, Snapshot};
pub use self::source::ResultSource;
