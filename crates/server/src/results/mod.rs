//! Results: one snapshot of the tallies per poll, made once per commit and shared by all readers.

mod index;
mod live;
mod live_polls;
mod shows;
mod snapshot;
mod source;
mod tabulation;

pub use self::index::Ending;
pub use self::live::LivePoll;
pub use self::live_polls::LivePolls;
pub use self::shows::LiveShows;
pub use self::snapshot::{Rendered, SharedSnapshot, Snapshot};
pub use self::source::ResultSource;
