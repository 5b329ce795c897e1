//! The backends behind the domain's interfaces: the databases that store ballots, the broker that carries them there,
//! the caches that hold results.
//!
//! A new database is a directory beside `store/sqlite`, with the same file names and the functions in the same order,
//! migrations with the same numbers and names below `migrations/`, and one line that runs the contract suite.

pub mod cache;
pub mod queue;
pub mod store;
mod url_parts;
