//! The databases that keep ballots.

pub mod sqlite;
