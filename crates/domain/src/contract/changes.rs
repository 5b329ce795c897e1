//! Changed minds: in a changeable poll, a voter's latest ballot counts, whatever is recorded when and how often.

use crate::audit::Author;
use crate::poll_change::PollChange;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::support::{OPENS_AT, Random, counts, done, new_poll, of_voter, record, record_at_once, tallies};
use crate::ballot::{Ballot, BallotId, BallotKey, VoterKey};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::policy::{Policy, Quota};
use crate::poll::Poll;
use crate::store::{Outcome, Standing, Store, Window};

async fn create_changeable(store: &dyn Store, slug: &str) -> Poll {
    done(
        store
            .create_poll(NewPoll { policy: Policy::Device, changeable: true, ..new_poll(slug) }, &Author::THRONG)
            .await,
    )
}

/// The ballot, arriving so many milliseconds after the suite's others.
fn at(ms: i64, ballot: Ballot) -> Ballot {
    Ballot { accepted_at: ballot.accepted_at.plus_ms(ms), ..ballot }
}

fn withdrawal(poll: &Poll, voter: u8, number: u128, ms: i64) -> Ballot {
    let id = BallotId(Uuid::from_u128(number));
    Ballot::withdrawal(poll.id, poll.policy, VoterKey([voter; 15]), id, OPENS_AT.plus_ms(1 + ms))
}

async fn standings(store: &dyn Store, poll: &Poll, voter: u8, numbers: &[u128]) -> Vec<Standing> {
    let cast = done(store.cast(poll.id, BallotKey::all_of_voter(VoterKey([voter; 15]))).await);
    let key = BallotKey::of_voter(VoterKey([voter; 15]), 0);
    numbers.iter().map(|number| Standing::of(BallotId(Uuid::from_u128(*number)), key, &cast, poll)).collect()
}

/// A voter's next ballot replaces the one before, and raises the version, also where it equals that one.
pub async fn a_later_ballot_replaces_an_earlier_one(store: &dyn Store) {
    let poll = create_changeable(store, "poll").await;
    assert!(poll.changeable && done(store.poll(&poll.slug).await).is_some_and(|read| read == poll));
    record(store, &[of_voter(&poll, 1, 1, &[1, 2]), of_voter(&poll, 2, 2, &[1])]).await;
    let before = tallies(store, &poll).await;
    let recorded = record(store, &[at(1, of_voter(&poll, 1, 3, &[2, 3]))]).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted]);
    let after = tallies(store, &poll).await;
    assert_eq!((counts(&after), after.voters), (vec![1, 1, 1, 0, 0], 2));
    assert!(after.seq > before.seq, "{after:?}");
    record(store, &[at(2, of_voter(&poll, 1, 4, &[2, 3]))]).await;
    let equal = tallies(store, &poll).await;
    assert!(equal.counts_equal(&after) && equal.seq > after.seq, "{equal:?}");
    let again = [of_voter(&poll, 1, 1, &[1, 2]), at(1, of_voter(&poll, 1, 3, &[2, 3]))];
    assert_eq!(record(store, &again).await.outcomes, [Outcome::Outdated, Outcome::Outdated]);
    assert_eq!(tallies(store, &poll).await, equal);
    let standings = standings(store, &poll, 1, &[1, 3, 4, 9]).await;
    assert_eq!(standings, [Standing::Replaced, Standing::Replaced, Standing::Counted, Standing::Pending]);
}

/// A withdrawn ballot doesn't count, and its voter may vote again.
pub async fn a_withdrawn_ballot_does_not_count(store: &dyn Store) {
    let poll = create_changeable(store, "poll").await;
    record(store, &[of_voter(&poll, 1, 1, &[1, 2]), of_voter(&poll, 2, 2, &[1])]).await;
    let withdrawn = withdrawal(&poll, 1, 3, 1);
    assert_eq!(record(store, std::slice::from_ref(&withdrawn)).await.outcomes, [Outcome::Counted]);
    let after = tallies(store, &poll).await;
    assert_eq!((counts(&after), after.voters), (vec![1, 0, 0, 0, 0], 1));
    assert_eq!(record(store, &[withdrawn]).await.outcomes, [Outcome::CountedBefore]);
    assert_eq!(standings(store, &poll, 1, &[1]).await, [Standing::Withdrawn]);
    record(store, &[at(2, of_voter(&poll, 1, 4, &[5]))]).await;
    let again = tallies(store, &poll).await;
    assert_eq!((counts(&again), again.voters), (vec![1, 0, 0, 0, 1], 2));
    assert_eq!(standings(store, &poll, 1, &[1, 4]).await, [Standing::Replaced, Standing::Counted]);
}

/// Which of a voter's ballots is the latest depends on when they arrived, not on the order in which they are recorded.
pub async fn the_latest_ballot_counts_in_any_order(store: &dyn Store) {
    let polls = [create_changeable(store, "one").await, create_changeable(store, "other").await];
    for (poll, is_reversed) in polls.iter().zip([false, true]) {
        let mut ballots =
            vec![of_voter(poll, 1, 1, &[1]), withdrawal(poll, 1, 2, 5), at(9, of_voter(poll, 1, 3, &[2]))];
        ballots.extend([at(3, of_voter(poll, 2, 5, &[3])), withdrawal(poll, 2, 4, 3)]);
        if is_reversed {
            ballots.reverse();
        }
        for ballot in ballots {
            assert_eq!(record(store, &[ballot]).await.outcomes, [Outcome::Counted]);
        }
        assert_eq!(counts(&tallies(store, poll).await), [0, 1, 1, 0, 0]);
    }
}

/// Where minds can't be changed, a withdrawal changes nothing.
pub async fn a_withdrawal_needs_a_changeable_poll(store: &dyn Store) {
    let poll = done(store.create_poll(NewPoll { policy: Policy::Device, ..new_poll("poll") }, &Author::THRONG).await);
    record(store, &[of_voter(&poll, 1, 1, &[1])]).await;
    assert_eq!(record(store, &[withdrawal(&poll, 1, 2, 1)]).await.outcomes, [Outcome::NotChangeable]);
    assert_eq!(tallies(store, &poll).await.voters, 1);
    let unlimited = NewPoll { changeable: true, ..new_poll("unlimited") };
    assert!(store.create_poll(unlimited, &Author::THRONG).await.is_err());
    let quota = Quota { ballots: 2, per_option: None };
    let twice = NewPoll { policy: Policy::Device, quota, changeable: true, ..new_poll("twice") };
    assert!(store.create_poll(twice, &Author::THRONG).await.is_err());
}

/// However many of a voter's ballots are recorded at the same time, one counts: the latest.
pub async fn one_voters_parallel_changes_count_once(store: &dyn Store) {
    let poll = create_changeable(store, "poll").await;
    let ballot = |number: u128| at(number as i64, of_voter(&poll, 1, number, &[1 + (number % 5) as u16]));
    let batches: Vec<Vec<Ballot>> =
        (0..6).map(|batch| (0..10).map(|number| ballot(10 * batch + number)).collect()).collect();
    record_at_once(store, &batches).await;
    let counted = tallies(store, &poll).await;
    assert_eq!((counts(&counted), counted.voters), (vec![0, 0, 0, 0, 1], 1));
}

/// What a recorded ballot was, for the model: its time, id, and options.
type Sent = (i64, u128, Vec<u16>);

/// Whatever is sent, sent again, replaced, withdrawn, recorded twice after a commit whose outcome is unknown, or recorded after the
/// close, in any grouping: the tallies equal a recount, and those of a plain model.
pub async fn any_interleaving_counts_as_a_plain_model(store: &dyn Store) {
    let quotas = [(1, true), (1, false), (3, false)];
    for (seed, (ballots, changeable)) in (1..).zip(quotas) {
        let quota = Quota { ballots, per_option: None };
        let new = NewPoll { policy: Policy::Device, quota, changeable, ..new_poll(&format!("poll-{seed}")) };
        let mut poll = done(store.create_poll(new, &Author::THRONG).await);
        let mut random = Random(seed);
        let mut model: BTreeMap<u8, Vec<Sent>> = BTreeMap::new();
        let (mut sent, mut closes_at): (Vec<Ballot>, Option<Timestamp>) = (Vec::new(), None);
        for step in 0_u128..60 {
            if step == 45 {
                let close = OPENS_AT.plus_ms(200);
                let window = Window { opens_at: poll.opens_at, closes_at: Some(close) };
                poll =
                    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
                closes_at = Some(close);
            }
            let mut batch = Vec::new();
            for place in 0..1 + random.below(8) {
                let is_again = !sent.is_empty() && random.below(4) == 0;
                batch.push(if is_again {
                    sent[random.below(sent.len() as u64) as usize].clone()
                } else {
                    // Not in the order of time, as through several nodes and workers.
                    let (voter, ms) = (random.below(12) as u8, random.below(260) as i64);
                    let number = step * 100 + u128::from(place);
                    match random.below(if changeable { 5 } else { 4 }) {
                        4 => withdrawal(&poll, voter, number, ms),
                        option => at(ms, of_voter(&poll, voter, number, &[1 + option as u16, 5])),
                    }
                });
            }
            record(store, &batch).await;
            if random.below(3) == 0 {
                record(store, &batch).await;
            }
            for ballot in &batch {
                apply(&mut model, ballot, ballots, changeable, closes_at);
            }
            sent.extend(batch);
        }
        let mut expected = vec![0; 5];
        for cast in model.values_mut() {
            cast.sort();
            let counted = if changeable { &cast[cast.len() - 1..] } else { &cast[..] };
            let chosen = counted.iter().flat_map(|(_, _, options)| options);
            chosen.for_each(|option| expected[usize::from(*option) - 1] += 1);
        }
        let counted = tallies(store, &poll).await;
        assert_eq!(
            (counts(&counted), counted.voters),
            (expected.clone(), expected[4]),
            "quota {ballots}, {changeable}"
        );
    }
}

fn apply(
    model: &mut BTreeMap<u8, Vec<Sent>>,
    ballot: &Ballot,
    quota: u8,
    changeable: bool,
    closes_at: Option<Timestamp>,
) {
    let cast = model.entry(ballot.key.0[0]).or_default();
    let id = ballot.id.0.as_u128();
    let is_late = closes_at.is_some_and(|closes_at| ballot.accepted_at >= closes_at);
    let is_full = !changeable && cast.len() >= usize::from(quota);
    if !is_late && !is_full && cast.iter().all(|(_, earlier, _)| *earlier != id) {
        let options = ballot.choices.as_slice().iter().map(|option| option.0).collect();
        cast.push((ballot.accepted_at.0, id, options));
    }
    if cast.is_empty() {
        model.remove(&ballot.key.0[0]);
    }
}
