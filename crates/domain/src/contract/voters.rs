//! Voters: whom a poll's policy identifies has as many ballots counted as its quota allows, whatever is sent at the same time.

use crate::audit::Author;
use crate::poll_change::PollChange;
use std::collections::BTreeMap;

use super::support::{Random, all_ballots, counts, create_with_quota, done, of_voter, record, record_at_once, tallies};
use crate::ballot::{Ballot, BallotKey};
use crate::policy::Quota;
use crate::poll::OptionId;
use crate::store::{Outcome, Store, Window};

/// A poll keeps its policy and quota.
pub async fn policy_and_quota_are_kept(store: &dyn Store) {
    let quota = Quota { ballots: 20, per_option: Some(3) };
    let poll = create_with_quota(store, "poll", quota).await;
    let read = done(store.poll(&poll.slug).await);
    assert_eq!(read.as_ref(), Some(&poll));
    assert_eq!((poll.policy.identifies_voters(), poll.quota), (true, quota));
    assert_eq!(done(store.polls_by_id(&[poll.id]).await), [poll]);
}

/// A voter's second ballot isn't counted; the first one sent again is reported as counted before. The ballots of other voters
/// count, also with the same id.
pub async fn a_voter_has_one_ballot(store: &dyn Store) {
    let poll = create_with_quota(store, "poll", Quota::ONE).await;
    let first = of_voter(&poll, 1, 1, &[1]);
    let recorded = record(store, &[first.clone(), of_voter(&poll, 1, 2, &[2]), of_voter(&poll, 2, 1, &[3])]).await;
    let used = Outcome::QuotaUsed { ballots: 1, only: Some(first.choices.clone()) };
    assert_eq!(recorded.outcomes, [Outcome::Counted, used.clone(), Outcome::Counted]);
    let again = [first.clone(), of_voter(&poll, 1, 2, &[2]), of_voter(&poll, 1, 1, &[2])];
    assert_eq!(record(store, &again).await.outcomes, [Outcome::CountedBefore, used, Outcome::IdReused]);
    assert_eq!(counts(&tallies(store, &poll).await), [1, 0, 1, 0, 0]);
    let mut stored = all_ballots(store, &poll).await;
    stored.sort_by_key(|ballot| ballot.key);
    assert_eq!(stored, [first, of_voter(&poll, 2, 1, &[3])]);
}

/// A voter has as many ballots as the quota says, each under a key of its own.
pub async fn a_quota_allows_several_ballots(store: &dyn Store) {
    let poll = create_with_quota(store, "poll", Quota { ballots: 3, per_option: None }).await;
    let cast: Vec<_> = (1..=5).map(|number| of_voter(&poll, 1, number, &[number as u16])).collect();
    let recorded = record(store, &cast[..2]).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted, Outcome::Counted]);
    let used = Outcome::QuotaUsed { ballots: 3, only: None };
    let recorded = record(store, &cast).await;
    let before = Outcome::CountedBefore;
    assert_eq!(recorded.outcomes, [before.clone(), before, Outcome::Counted, used.clone(), used]);
    assert_eq!(counts(&tallies(store, &poll).await), [1, 1, 1, 0, 0]);
    let stored = all_ballots(store, &poll).await;
    let Some(voter) = cast[0].voter() else { unreachable!("the poll identifies voters") };
    let mut keys: Vec<_> = stored.iter().map(|ballot| ballot.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2].map(|slot| BallotKey::of_voter(voter, slot)));
}

/// An option's quota limits how many of a voter's ballots choose it.
pub async fn an_option_has_a_quota_per_voter(store: &dyn Store) {
    let poll = create_with_quota(store, "poll", Quota { ballots: 20, per_option: Some(2) }).await;
    let options: [&[u16]; 5] = [&[1], &[1, 2], &[1], &[2], &[2, 3]];
    let cast: Vec<_> = (1..).zip(options).map(|(number, options)| of_voter(&poll, 1, number, options)).collect();
    let recorded = record(store, &cast).await;
    let used = |option| Outcome::OptionQuotaUsed(OptionId(option));
    assert_eq!(recorded.outcomes, [Outcome::Counted, Outcome::Counted, used(1), Outcome::Counted, used(2)]);
    assert_eq!(record(store, &[of_voter(&poll, 2, 9, &[1])]).await.outcomes, [Outcome::Counted]);
    assert_eq!(counts(&tallies(store, &poll).await), [3, 2, 0, 0, 0]);
}

/// A voter's ballot that arrives after the close isn't counted, but one sent again keeps its outcome.
pub async fn a_voters_late_ballot_is_rejected(store: &dyn Store) {
    let poll = create_with_quota(store, "poll", Quota { ballots: 2, per_option: None }).await;
    let first = of_voter(&poll, 1, 1, &[1]);
    record(store, std::slice::from_ref(&first)).await;
    let closes_at = first.accepted_at.plus_ms(1);
    let window = Window { opens_at: poll.opens_at, closes_at: Some(closes_at) };
    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    let late = |ballot: Ballot| Ballot { accepted_at: closes_at, ..ballot };
    let recorded = record(store, &[late(first), late(of_voter(&poll, 1, 2, &[1]))]).await;
    assert_eq!(recorded.outcomes, [Outcome::CountedBefore, Outcome::TooLate]);
    assert_eq!(tallies(store, &poll).await.voters, 1);
}

/// However many of a voter's ballots are recorded at the same time, exactly the quota counts.
pub async fn one_voters_parallel_ballots_count_exactly(store: &dyn Store) {
    for (slug, quota) in [("one", 1_u8), ("ten", 10)] {
        let poll = create_with_quota(store, slug, Quota { ballots: quota, per_option: None }).await;
        let batch = |offset: u128| (0..50).map(|number| of_voter(&poll, 1, offset * 50 + number, &[1])).collect();
        let batches: Vec<Vec<Ballot>> = (0..6).map(batch).collect();
        let recorded = record_at_once(store, &batches).await;
        let outcomes = recorded.into_iter().flat_map(|recorded| recorded.outcomes);
        let counted = outcomes.filter(|outcome| *outcome == Outcome::Counted).count();
        assert_eq!(counted, usize::from(quota));
        assert_eq!(tallies(store, &poll).await.voters, u64::from(quota));
    }
}

/// However many batches contend for one voter's slots, each of them is recorded.
pub async fn batches_contending_for_a_voter_are_recorded(store: &dyn Store) {
    let poll = create_with_quota(store, "poll", Quota { ballots: 40, per_option: None }).await;
    let batches: Vec<_> = (0..40).map(|number| vec![of_voter(&poll, 1, number, &[1])]).collect();
    record_at_once(store, &batches).await;
    assert_eq!(tallies(store, &poll).await.voters, 40);
}

/// Whatever is sent again, in any grouping, the tallies equal those of a plain model.
pub async fn any_grouping_of_voters_counts_the_same(store: &dyn Store) {
    let quota = Quota { ballots: 3, per_option: Some(2) };
    let poll = create_with_quota(store, "poll", quota).await;
    let mut random = Random(7);
    // By voter, the ids and options of the ballots that count.
    let mut model: BTreeMap<u8, BTreeMap<u128, u16>> = BTreeMap::new();
    for _ in 0..40 {
        let mut batch = Vec::new();
        for _ in 0..1 + random.below(30) {
            let (voter, id) = (random.below(25) as u8, u128::from(random.below(8)));
            // An id always has the same option, so that none is reused.
            let option = 1 + (id % 3) as u16;
            batch.push((voter, id, option));
        }
        let ballots: Vec<_> =
            batch.iter().map(|(voter, id, option)| of_voter(&poll, *voter, *id, &[*option])).collect();
        let recorded = record(store, &ballots).await;
        // Within a batch, each voter's ballots are judged in the order given.
        for ((voter, id, option), outcome) in batch.into_iter().zip(recorded.outcomes) {
            let cast = model.entry(voter).or_default();
            let chosen = cast.values().filter(|chosen| **chosen == option).count();
            let is_expected = match &outcome {
                Outcome::CountedBefore => cast.contains_key(&id),
                Outcome::QuotaUsed { ballots, .. } => !cast.contains_key(&id) && cast.len() == 3 && *ballots == 3,
                Outcome::OptionQuotaUsed(used) => used.0 == option && cast.len() < 3 && chosen == 2,
                Outcome::Counted => cast.len() < 3 && chosen < 2 && cast.insert(id, option).is_none(),
                Outcome::IdReused
                | Outcome::NotChangeable
                | Outcome::Outdated
                | Outcome::TooEarly
                | Outcome::TooLate
                | Outcome::NotReady => false,
            };
            assert!(is_expected, "voter {voter}, ballot {id}: {outcome:?} after {cast:?}");
        }
    }
    let mut expected = vec![0; 5];
    model.values().flat_map(BTreeMap::values).for_each(|option| expected[usize::from(*option) - 1] += 1);
    assert_eq!(counts(&tallies(store, &poll).await), expected);
}
