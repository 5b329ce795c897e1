//! What stands behind the domain's seams: today the SQLite store, and the caches of results.
//!
//! A new database is a directory beside `store/sqlite`, with its files named alike and their functions in the same
//! order, migrations of the same numbers and names below `migrations/`, and one line that runs the contract suite.

pub mod cache;
pub mod store;
