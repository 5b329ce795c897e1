//! What stands behind the domain's seams: the databases that keep ballots, the broker that carries them there, the
//! caches that hold results.
//!
//! A new database is a directory beside `store/sqlite`, with its files named alike and their functions in the same
//! order, migrations of the same numbers and names below `migrations/`, and one line that runs the contract suite.

pub mod cache;
pub mod queue;
pub mod store;
mod url_parts;
