//! Counting is exact, even with concurrent recording and from any runtime.

use std::cell::Cell;
use std::sync::Arc;

use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::contract::support::{all_ballots, ballot, create, record, tallies};
use throng_domain::poll::{OptionId, Poll};
use throng_domain::store::{Outcome, Store};

use super::OwnDatabase;

/// Ballots of these numbers, all of one choice.
fn ballots(poll: &Poll, numbers: impl IntoIterator<Item = u128>, choice: u16) -> Vec<Ballot> {
    numbers.into_iter().map(|number| ballot(poll, number, &[choice])).collect()
}

fn counted(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == Outcome::Counted).count()
}

#[tokio::test]
async fn large_batch_with_duplicates_counts_only_new_ballots() {
    let (_database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    // More than one statement's worth, each ballot twice.
    let first = ballots(&poll, (0..2_600).chain(0..2_600), 1);
    let recorded = record(&store, &first).await;
    assert!(recorded.outcomes[..2_600].iter().all(|outcome| *outcome == Outcome::Counted));
    assert!(recorded.outcomes[2_600..].iter().all(|outcome| *outcome == Outcome::CountedBefore));

    let second = ballots(&poll, (1_300..4_000).rev(), 1);
    let recorded = record(&store, &second).await;
    assert_eq!(counted(&recorded.outcomes), 1_400);
    assert!(recorded.outcomes[..1_400].iter().all(|outcome| *outcome == Outcome::Counted));
    assert_eq!(tallies(&store, &poll).await.voters, 4_000);
    assert_eq!(recorded.tallies, [tallies(&store, &poll).await]);
}

#[tokio::test]
async fn keys_are_compared_by_their_bytes() {
    let (_database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let keys =
        [*b"aaaaaaaaaaaaaaaa", *b"AAAAAAAAAAAAAAAA", *b"aaaaaaaaaaaaaaa ", *b"aaaaaaaaaaaaaaa\0", [0; 16], [b' '; 16]];
    let keyed = (1_u128..).zip(keys).map(|(number, key)| Ballot { key: BallotKey(key), ..ballot(&poll, number, &[1]) });
    let mut batch: Vec<_> = keyed.collect();
    let recorded = record(&store, &batch).await;
    assert_eq!(counted(&recorded.outcomes), keys.len());
    batch.sort_by_key(|ballot| ballot.key);
    assert_eq!(all_ballots(&store, &poll).await, batch);
}

#[tokio::test]
async fn two_stores_count_exactly_and_seq_never_decreases() {
    let (database, left) = OwnDatabase::with_store().await;
    let right = database.open().await.unwrap();
    let poll = create(&left, "poll").await;
    let newest = Cell::new(0);
    // Each store records the same ballots as the other, in batches of another size, and some of its own.
    let run = async |store: &dyn Store, choice: u16, size: u128| {
        let mut own = 0;
        for start in (0..1_000).step_by(usize::try_from(size).unwrap()) {
            let mut batch = ballots(&poll, start..(start + size).min(1_000), 5);
            batch.extend(ballots(&poll, (start..start + size).map(|n| n + (u128::from(choice) << 64)), choice));
            let before = newest.get();
            let recorded = record(store, &batch).await;
            own += counted(&recorded.outcomes[batch.len() - usize::try_from(size).unwrap()..]);
            let [tallies] = &recorded.tallies[..] else { panic!("one poll has one result: {recorded:?}") };
            assert!(tallies.seq >= before, "seq {} after {before}", tallies.seq);
            assert_eq!(tallies.count(OptionId(choice)), u64::try_from(own).unwrap());
            newest.set(newest.get().max(tallies.seq));
        }
        own
    };
    let (of_left, of_right) = tokio::join!(run(&left, 1, 20), run(&right, 2, 50));
    assert_eq!((of_left, of_right), (1_000, 1_000));
    let end = tallies(&left, &poll).await;
    assert_eq!((end.voters, end.count(OptionId(5)), end.seq), (3_000, 1_000, 3_000));
}

#[tokio::test]
async fn many_stores_with_the_same_ballots_count_each_once() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let all = ballots(&poll, 0..500, 3);
    let stores = [database.open().await.unwrap(), database.open().await.unwrap(), database.open().await.unwrap()];
    let [a, b, c] = &stores;
    let (a, b, c, d) = tokio::join!(record(a, &all), record(b, &all), record(c, &all), record(&store, &all));
    let sum: usize = [a, b, c, d].iter().map(|recorded| counted(&recorded.outcomes)).sum();
    assert_eq!(sum, 500);
    assert_eq!(tallies(&store, &poll).await.voters, 500);
}

#[tokio::test]
async fn a_store_is_used_from_any_runtime() {
    let (_database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let store = Arc::new(store);
    for number in 0..6 {
        let (store, batch) = (Arc::clone(&store), ballots(&poll, number * 10..number * 10 + 15, 1));
        if number % 2 == 0 {
            record(&*store, &batch).await;
            continue;
        }
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                record(&*store, &batch).await;
                record(&*store, &batch).await;
            });
        });
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
    assert_eq!(tallies(&*store, &poll).await.voters, 65);
}
