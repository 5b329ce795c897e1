//! Polls and ballots for the suite.

use crate::audit::Author;
use std::fmt::Debug;

use uuid::Uuid;

use crate::ballot::{Ballot, BallotId, Choices, VoterKey};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::policy::{Policy, Quota};
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
    done(store.create_poll(new_poll(slug), &Author::THRONG).await)
}

/// The `number`th ballot of a test.
pub fn ballot(poll: &Poll, number: u128, choices: &[u16]) -> Ballot {
    let choices = Choices::new(choices.iter().map(|id| OptionId(*id))).expect("the suite's ballots choose something");
    Ballot::unlimited(poll.id, BallotId(Uuid::from_u128(number)), choices, OPENS_AT.plus_ms(1))
}

/// The `number`th ballot of a test, by the `voter`th voter.
pub fn of_voter(poll: &Poll, voter: u8, number: u128, choices: &[u16]) -> Ballot {
    let Ballot { id, choices, accepted_at, .. } = ballot(poll, number, choices);
    Ballot::of_voter(poll.id, poll.policy, VoterKey([voter; 15]), id, choices, accepted_at)
}

/// A poll whose voters are identified by their devices, with this quota, created in `store`.
pub async fn create_with_quota(store: &dyn Store, slug: &str, quota: Quota) -> Poll {
    done(store.create_poll(NewPoll { policy: Policy::Device, quota, ..new_poll(slug) }, &Author::THRONG).await)
}

/// Records the ballots, which must succeed.
pub async fn record(store: &dyn Store, ballots: &[Ballot]) -> Recorded {
    done(store.record(ballots).await)
}

/// Records batches at the same time; returns what became of them, in the order given.
pub async fn record_at_once(store: &dyn Store, batches: &[Vec<Ballot>]) -> Vec<Recorded> {
    match batches {
        [] => Vec::new(),
        [batch] => vec![record(store, batch).await],
        [..] => {
            let (left, right) = batches.split_at(batches.len() / 2);
            let (mut recorded, right) =
                tokio::join!(Box::pin(record_at_once(store, left)), Box::pin(record_at_once(store, right)));
            recorded.extend(right);
            recorded
        }
    }
}

/// The poll's tallies; fails where they differ from the counts of its ballots.
pub async fn tallies(store: &dyn Store, poll: &Poll) -> Tallies {
    let recount = done(store.recount(poll.id).await);
    assert!(recount.agrees(), "tallies and ballots differ: {recount:?}");
    assert_eq!(done(store.tallies(poll.id).await), recount.tallies);
    recount.tallies
}

/// The poll's ballots, read page by page.
pub async fn all_ballots(store: &dyn Store, poll: &Poll) -> Vec<Ballot> {
    const LIMIT: usize = 10;
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = done(store.ballots(poll.id, after, LIMIT).await);
        assert!(page.ballots.len() <= LIMIT);
        read.extend(page.ballots);
        match page.next {
            Some(_) => after = page.next,
            None => return read,
        }
    }
}

/// The counts alone, in the options' order.
pub fn counts(tallies: &Tallies) -> Vec<u64> {
    tallies.counts.iter().map(|(_, count)| *count).collect()
}

/// The value of a call that must succeed.
pub fn done<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the call to the store succeeds")
}

/// A small generator (constants of Knuth's MMIX), so that the suite needs no other crate and every run is the same.
pub struct Random(pub u64);

impl Random {
    /// A number from 0 up to, and without, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
