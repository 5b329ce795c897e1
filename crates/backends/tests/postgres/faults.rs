//! A server, or a way to it, that fails: nothing is counted twice or lost, nobody waits for ever, and all goes on once it
//! is back.

use throng_backends::store::postgres::PostgresStore;
use throng_domain::contract::support::{create, done, record, tallies};
use throng_domain::store::{Outcome, Store as _, StoreError};
use tokio::net::TcpListener;
use tokio::time::{Duration, Instant};

use super::ballots;
use super::database::Database;
use super::proxy::{Proxy, Way};

/// The longest that recording may take, on a machine that has other things to do.
const RECORD_MAX: Duration = Duration::from_secs(12);

/// A database, a proxy before it, and a store in it that goes through the proxy.
async fn behind_proxy() -> (Database, Proxy, PostgresStore) {
    let (database, _) = Database::with_store().await;
    let proxy = Proxy::start(Database::upstream()).await;
    let store = done(PostgresStore::open(&database.url_through(&proxy.address())).await);
    (database, proxy, store)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_unknown_and_counts_once() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    let batch = ballots(&poll, 0..100);
    proxy.set(Way::LoseAnswerTo("COMMIT;"));
    let lost = store.record(&batch).await;
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    proxy.set(Way::Open);
    let again = record(&store, &ballots(&poll, 50..150)).await;
    let counted = again.outcomes.iter().filter(|outcome| **outcome == Outcome::Counted).count();
    assert_eq!(counted, 50);
    assert!(again.outcomes[..50].iter().all(|outcome| *outcome == Outcome::CountedBefore));
    assert_eq!(again.tallies[0].voters, 150);
    assert_eq!(tallies(&store, &poll).await.voters, 150);
}

#[tokio::test]
async fn what_is_cut_before_the_commit_is_not_recorded() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    let mut left = 0;
    for moment in ["BEGIN", "INSERT INTO ballot", "INSERT INTO tally"] {
        proxy.set(Way::CutAt(moment));
        let cut = store.record(&ballots(&poll, 0..100)).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{moment}: {cut:?}");
        proxy.set(Way::Open);
        left += tallies(&store, &poll).await.voters;
    }
    assert_eq!(left, 0);
    record(&store, &ballots(&poll, 0..100)).await;
    assert_eq!(tallies(&store, &poll).await.voters, 100);
}

#[tokio::test]
async fn a_commit_that_was_not_heard_is_unknown_and_can_be_repeated() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    proxy.set(Way::CutAt("COMMIT;"));
    let cut = store.record(&ballots(&poll, 0..100)).await;
    assert!(matches!(cut, Err(StoreError::Unknown(_))), "{cut:?}");
    proxy.set(Way::Open);
    let again = record(&store, &ballots(&poll, 0..100)).await;
    assert_eq!(again.outcomes, vec![Outcome::Counted; 100]);
    assert_eq!(tallies(&store, &poll).await.voters, 100);
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_for_long() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..10)).await;
    proxy.set(Way::Frozen);
    let started = Instant::now();
    let batch = ballots(&poll, 10..20);
    let (recorded, read) = tokio::join!(store.record(&batch), store.tallies(poll.id));
    assert!(matches!(recorded, Err(StoreError::Unavailable(_))), "{recorded:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(started.elapsed() < RECORD_MAX, "{:?}", started.elapsed());
    proxy.set(Way::Open);
    assert_eq!(record(&store, &batch).await.outcomes, vec![Outcome::Counted; 10]);
    assert_eq!(tallies(&store, &poll).await.voters, 20);
}

#[tokio::test]
async fn a_server_that_ends_its_connections_is_connected_to_again() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..10)).await;
    database.end_connections().await;
    // A connection that was used just now is taken to be alive; nothing was recorded over it.
    let first = store.record(&ballots(&poll, 10..20)).await;
    assert!(matches!(first, Ok(_) | Err(StoreError::Unavailable(_))), "{first:?}");
    record(&store, &ballots(&poll, 10..20)).await;
    assert_eq!(tallies(&store, &poll).await.voters, 20);
}

#[tokio::test]
async fn a_database_that_only_reads_takes_nothing_and_says_so() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..1)).await;
    database.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name)).await;
    let reader = database.open().await;
    let refused = reader.record(&ballots(&poll, 0..10)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(tallies(&reader, &poll).await.voters, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let (database, _) = Database::with_store().await;
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let opened = PostgresStore::open(&database.url_through(&address)).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");
}

#[tokio::test]
async fn damaged_rows_are_said_to_be_damaged() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..1)).await;
    database.run("UPDATE ballot SET choices = '1 and 2'; INSERT INTO tally VALUES (1, 77, 0, 1)").await;
    let read = store.ballots(poll.id, None, 10).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    let tallies = store.tallies(poll.id).await;
    assert!(matches!(tallies, Err(StoreError::Corrupt(_))), "{tallies:?}");
    let recorded = store.record(&ballots(&poll, 1..2)).await;
    assert!(matches!(recorded, Err(StoreError::Corrupt(_))), "{recorded:?}");
}
