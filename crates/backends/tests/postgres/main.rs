//! Ballots in a real PostgreSQL: the contract of every store, concurrent stores, and faults of the server or of the connection
//! to it.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod concurrency;
mod contract;
mod database;
mod faults;
mod php_votes;
mod pooler;
mod schema;
mod settings;
mod tls;

use throng_domain::ballot::Ballot;
use throng_domain::contract::support::ballot;
use throng_domain::poll::Poll;

/// Ballots of the given numbers, all for the first option.
fn ballots(poll: &Poll, numbers: std::ops::Range<u128>) -> Vec<Ballot> {
    numbers.map(|number| ballot(poll, number, &[1])).collect()
}
