//! Polls and ballots for the suite.

use std::fmt::Debug;

use uuid::Uuid;

use crate::ballot::{Ballot, BallotId, BallotKey, Choices};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::{OptionId, Poll};
use crate::store::{Recorded, Store};
use crate::tally::Tallies;

/// When the suite's polls open.
pub const OPENS_AT: Timestamp = Timestamp(1_000);

/// A demo poll with the given slug.
pub fn new_poll(slug: &str) -> NewPoll {
    NewPoll::demo(slug.parse().expect("the suite's slugs are valid"), OPENS_AT)
}

/// A poll with the given slug, created in `store`.
pub async fn create(store: &dyn Store, slug: &str) -> Poll {
    done(store.create_poll(new_poll(slug)).await)
}

/// The `number`th ballot of a test.
pub fn ballot(poll: &Poll, number: u128, choices: &[u16]) -> Ballot {
    let choices = Choices::new(choices.iter().map(|id| OptionId(*id))).expect("the suite's ballots choose something");
    Ballot::unlimited(poll.id, BallotId(Uuid::from_u128(number)), choices, OPENS_AT.plus_ms(1))
}

/// The same ballot under the key of `other`.
pub fn with_key_of(ballot: Ballot, other: &Ballot) -> Ballot {
    let BallotKey(key) = other.key;
    Ballot { key: BallotKey(key), ..ballot }
}

/// Records the ballots, which must succeed.
pub async fn record(store: &dyn Store, ballots: &[Ballot]) -> Recorded {
    done(store.record(ballots).await)
}

/// The poll's tallies; fails where they differ from the counts of its ballots.
pub async fn tallies(store: &dyn Store, poll: &Poll) -> Tallies {
    let recount = done(store.recount(poll.id).await);
    assert!(recount.tallies.counts_equal(&recount.ballots), "tallies and ballots differ: {recount:?}");
    assert_eq!(done(store.tallies(poll.id).await), recount.tallies);
    recount.tallies
}

/// The counts alone, in the options' order.
pub fn counts(tallies: &Tallies) -> Vec<u64> {
    tallies.counts.iter().map(|(_, count)| *count).collect()
}

/// The value of a call that must succeed.
pub fn done<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the call to the store succeeds")
}
