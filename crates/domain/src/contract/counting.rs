//! Recording: every ballot counts once, together with the tallies, whatever is sent again.

use crate::audit::Author;
use crate::poll_change::PollChange;
use std::collections::BTreeMap;

use super::support::{OPENS_AT, Random, all_ballots, ballot, counts, create, done, record, record_at_once, tallies};
use crate::ballot::Ballot;
use crate::poll::{OptionId, PollId};
use crate::store::{Outcome, Store, StoreError, Window};
use crate::tally::TallyChange;

/// A ballot is counted, and stored unchanged.
pub async fn a_ballot_is_counted_and_kept(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let cast = ballot(&poll, 1, &[1, 3]);
    let recorded = record(store, std::slice::from_ref(&cast)).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted]);
    assert_eq!(recorded.tallies, [tallies(store, &poll).await]);
    assert_eq!(counts(&recorded.tallies[0]), [1, 0, 1, 0, 0]);
    assert_eq!(recorded.tallies[0].voters, 1);
    assert_eq!(all_ballots(store, &poll).await, [cast]);
}

/// A ballot sent again is reported as counted before, and not counted again.
pub async fn a_ballot_sent_again_counts_once(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let cast = [ballot(&poll, 1, &[2])];
    record(store, &cast).await;
    let again = record(store, &cast).await;
    assert_eq!(again.outcomes, [Outcome::CountedBefore]);
    assert_eq!(counts(&again.tallies[0]), [0, 1, 0, 0, 0]);
}

/// The same holds within one batch.
pub async fn a_ballot_twice_in_a_batch_counts_once(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let (first, other) = (ballot(&poll, 2, &[1]), ballot(&poll, 1, &[2]));
    let recorded = record(store, &[first.clone(), other, first]).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted, Outcome::Counted, Outcome::CountedBefore]);
    assert_eq!(counts(&tallies(store, &poll).await), [1, 1, 0, 0, 0]);
}

/// An id that is sent again with other choices is rejected, and the first ballot stays.
pub async fn id_with_other_choices_is_rejected(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let recorded = record(store, &[ballot(&poll, 1, &[1]), ballot(&poll, 1, &[2])]).await;
    assert_eq!(recorded.outcomes[1], Outcome::IdReused);
    assert_eq!(counts(&tallies(store, &poll).await), [1, 0, 0, 0, 0]);
}

/// One batch may hold ballots of several polls, and the same id can be used in each.
pub async fn a_batch_may_hold_several_polls(store: &dyn Store) {
    let (left, right) = (create(store, "left").await, create(store, "right").await);
    let batch = [ballot(&left, 1, &[1]), ballot(&right, 1, &[2]), ballot(&left, 2, &[3])];
    let recorded = record(store, &batch).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted, Outcome::Counted, Outcome::Counted]);
    assert_eq!(recorded.tallies.len(), 2);
    assert_eq!(counts(&tallies(store, &left).await), [1, 0, 1, 0, 0]);
    assert_eq!(counts(&tallies(store, &right).await), [0, 1, 0, 0, 0]);
}

/// A ballot that arrived in time counts however late it is written; one that arrived too early or too late doesn't.
pub async fn window_is_checked_by_arrival(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let closes_at = OPENS_AT.plus_ms(100);
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(closes_at) };
    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    let at = |number, accepted_at| Ballot { accepted_at, ..ballot(&poll, number, &[1]) };
    let batch = [at(1, OPENS_AT.plus_ms(-1)), at(2, OPENS_AT), at(3, closes_at.plus_ms(-1)), at(4, closes_at)];
    let recorded = record(store, &batch).await;
    assert_eq!(recorded.outcomes, [Outcome::TooEarly, Outcome::Counted, Outcome::Counted, Outcome::TooLate]);
    assert_eq!(tallies(store, &poll).await.voters, 2);
    // Sent again after the close, because the response was lost, the second one stays counted.
    let again = record(store, &[at(2, closes_at)]).await;
    assert_eq!(again.outcomes, [Outcome::CountedBefore]);
}

/// Only the ballot whose poll doesn't exist is rejected.
pub async fn a_ballot_for_no_poll_changes_nothing(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let stray = Ballot { poll: PollId(poll.id.0 + 1_000), ..ballot(&poll, 1, &[1]) };
    let recorded = record(store, &[stray, ballot(&poll, 2, &[1])]).await;
    assert_eq!(recorded.outcomes, [Outcome::TooEarly, Outcome::Counted]);
    assert_eq!(recorded.tallies.len(), 1);
    assert_eq!(tallies(store, &poll).await.voters, 1);
}

/// Whatever is sent again, in any order and grouping, the tallies equal an independent count.
pub async fn any_grouping_and_redelivery_counts_the_same(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let mut expected_ballots: BTreeMap<u128, Vec<u16>> = BTreeMap::new();
    let mut random = Random(42);
    for _ in 0..60 {
        let size = 1 + random.below(40);
        let mut batch = Vec::new();
        for _ in 0..size {
            // A small range of ids, so that most batches hold ballots that were sent before.
            let id = u128::from(random.below(700)) << 64;
            let choices = expected_ballots.entry(id).or_insert_with(|| choose(id));
            batch.push(ballot(&poll, id, choices));
        }
        record(store, &batch).await;
    }
    let mut expected = vec![0; 5];
    for choices in expected_ballots.values() {
        for option in choices {
            expected[usize::from(*option) - 1] += 1;
        }
    }
    let tallies = tallies(store, &poll).await;
    assert_eq!(counts(&tallies), expected);
    assert_eq!(tallies.voters, expected_ballots.len() as u64);
}

/// Batches recorded at the same time, with ballots in common, count each ballot once.
pub async fn parallel_batches_count_exactly(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let batches: Vec<Vec<Ballot>> =
        (0..8u128).map(|offset| (0..50).map(|number| ballot(&poll, offset * 25 + number, &[1])).collect()).collect();
    record_at_once(store, &batches).await;
    assert_eq!(tallies(store, &poll).await.voters, 7 * 25 + 50);
}

/// The version of a result increases with a change, and only with one.
pub async fn the_version_grows_only_with_a_change(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let seq = async || tallies(store, &poll).await.seq;
    let empty = seq().await;
    record(store, &[ballot(&poll, 1, &[1])]).await;
    let first = seq().await;
    record(store, &[ballot(&poll, 1, &[1])]).await;
    let repeated = seq().await;
    record(store, &[ballot(&poll, 2, &[1]), ballot(&poll, 3, &[2])]).await;
    let last = seq().await;
    assert!(empty < first && first == repeated && repeated < last, "{empty} {first} {repeated} {last}");
}

/// The version increases with every change of the tallies that no new ballot makes: where a count falls, as with a ballot that is
/// voided, and where none changes, as with a ballot that is replaced by an equal one.
pub async fn the_version_grows_where_counts_fall_or_stay(store: &dyn Store) {
    let poll = create(store, "poll").await;
    record(store, &[ballot(&poll, 1, &[1, 2]), ballot(&poll, 2, &[1])]).await;
    let before = tallies(store, &poll).await;
    let voided =
        TallyChange { voters: -1, counts: vec![(OptionId(1), -1), (OptionId(2), -1)], ..TallyChange::none(poll.id) };
    let fallen = done(store.change_tallies(&voided).await);
    assert_eq!((counts(&fallen), fallen.voters), (vec![1, 0, 0, 0, 0], 1));
    assert!(fallen.seq > before.seq, "{before:?} {fallen:?}");
    let equal = done(store.change_tallies(&TallyChange::none(poll.id)).await);
    assert!(equal.counts_equal(&fallen) && equal.seq > fallen.seq, "{fallen:?} {equal:?}");
    assert_eq!(done(store.tallies(poll.id).await), equal);
    let counted = record(store, &[ballot(&poll, 3, &[1])]).await;
    assert_eq!((counted.tallies[0].voters, counted.tallies[0].seq > equal.seq), (2, true));
    // As `throng poll recount --repair` does.
    let recount = done(store.recount(poll.id).await);
    let repaired = done(store.change_tallies(&TallyChange::between(&recount.tallies, &recount.ballots)).await);
    assert_eq!((counts(&repaired), repaired.voters), (vec![3, 1, 0, 0, 0], 3));
}

/// A change that can't be is rejected, and changes nothing.
pub async fn an_impossible_change_is_rejected(store: &dyn Store) {
    let poll = create(store, "poll").await;
    record(store, &[ballot(&poll, 1, &[1])]).await;
    let before = tallies(store, &poll).await;
    let none = TallyChange::none(poll.id);
    for change in [
        TallyChange { voters: -2, ..none.clone() },
        TallyChange { counts: vec![(OptionId(1), 1), (OptionId(2), -1)], ..none.clone() },
        TallyChange { counts: vec![(OptionId(9), 1)], ..none.clone() },
        TallyChange { counts: vec![(OptionId(0), 1)], ..none.clone() },
        TallyChange::none(PollId(poll.id.0 + 1_000)),
    ] {
        let changed = store.change_tallies(&change).await;
        assert!(matches!(changed, Err(StoreError::Rejected(_))), "{change:?}: {changed:?}");
    }
    assert_eq!(tallies(store, &poll).await, before);
}

/// Concurrent changes and batches add up.
pub async fn concurrent_changes_add_up(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let batches: Vec<Vec<Ballot>> =
        (0..4u128).map(|batch| (0..25).map(|number| ballot(&poll, batch * 25 + number, &[1])).collect()).collect();
    let added = TallyChange { voters: 1, counts: vec![(OptionId(2), 1)], ..TallyChange::none(poll.id) };
    let [a, b, c, d] = &batches[..] else { unreachable!("four batches were made") };
    let change = async || done(store.change_tallies(&added).await);
    tokio::join!(record(store, a), change(), record(store, b), change(), record(store, c), change(), record(store, d));
    let after = done(store.tallies(poll.id).await);
    assert_eq!((after.voters, counts(&after)), (103, vec![100, 3, 0, 0, 0]));
    let removed = TallyChange { voters: -3, counts: vec![(OptionId(2), -3)], ..TallyChange::none(poll.id) };
    done(store.change_tallies(&removed).await);
}

/// A recount reads the ballots and results in the tallies.
pub async fn a_recount_agrees_with_the_tallies(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let batch: Vec<_> = (0..300).map(|number| ballot(&poll, number, &choose(number))).collect();
    record(store, &batch).await;
    let recount = done(store.recount(poll.id).await);
    assert_eq!(recount.ballots.voters, 300);
    assert!(recount.agrees());
    assert!(store.recount(PollId(poll.id.0 + 1_000)).await.is_err());
}

/// Ballots are read in pages, in the order of their keys, each once.
pub async fn ballots_are_read_in_pages(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let batch: Vec<_> = (1..=25).map(|number| ballot(&poll, number, &[1])).collect();
    record(store, &batch).await;
    let mut read = all_ballots(store, &poll).await;
    read.sort_by_key(|ballot| ballot.key);
    assert_eq!(read, batch);
}

/// Choices that depend on the number alone.
fn choose(number: u128) -> Vec<u16> {
    let bits = (number >> 64) as u64 ^ number as u64;
    let chosen: Vec<u16> = (1..=5).filter(|option| (bits.wrapping_mul(0x9e37_79b9) >> option) & 1 == 1).collect();
    if chosen.is_empty() { vec![1] } else { chosen }
}
