//! Failures of the server, or of the connection to it: nothing is counted twice or lost, every call ends, and stores work again
//! afterwards.

use std::time::Duration;

use throng_backends::store::postgres::PostgresStore;
use throng_domain::contract::support::{create, done, record, tallies};
use throng_domain::store::{BallotStore as _, Outcome, StoreError};
use throng_testkit::{ChaosProxy, Fault, within};
use tokio::net::TcpListener;

use super::ballots;
use super::database::Database;

/// Twice as long as a call may take in all.
const CALL_MAX: Duration = Duration::from_secs(20);

/// A database, a proxy in front of it, and a store that connects through the proxy.
async fn behind_proxy() -> (Database, ChaosProxy, PostgresStore) {
    let (database, _) = Database::with_store().await;
    let proxy = ChaosProxy::start(Database::upstream());
    let store = done(PostgresStore::open(&database.url_through(&proxy.address().to_string())).await);
    (database, proxy, store)
}

#[tokio::test]
async fn lost_commit_response_is_unknown_and_counts_once() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    let batch = ballots(&poll, 0..100);
    proxy.set(Fault::LoseResponseTo("COMMIT;"));
    let lost = store.record(&batch).await;
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    proxy.set(Fault::None);
    let again = record(&store, &ballots(&poll, 50..150)).await;
    let counted = again.outcomes.iter().filter(|outcome| **outcome == Outcome::Counted).count();
    assert_eq!(counted, 50);
    assert!(again.outcomes[..50].iter().all(|outcome| *outcome == Outcome::CountedBefore));
    assert_eq!(again.tallies[0].voters, 150);
    assert_eq!(tallies(&store, &poll).await.voters, 150);
}

#[tokio::test]
async fn connection_cut_before_commit_records_nothing() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    let mut recorded = 0;
    for statement in ["BEGIN", "INSERT INTO ballot", "INSERT INTO tally"] {
        proxy.set(Fault::CutBefore(statement));
        let cut = store.record(&ballots(&poll, 0..100)).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{statement}: {cut:?}");
        proxy.set(Fault::None);
        recorded += tallies(&store, &poll).await.voters;
    }
    assert_eq!(recorded, 0);
    record(&store, &ballots(&poll, 0..100)).await;
    assert_eq!(tallies(&store, &poll).await.voters, 100);
}

#[tokio::test]
async fn lost_commit_is_unknown_and_can_be_repeated() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    proxy.set(Fault::CutBefore("COMMIT;"));
    let cut = store.record(&ballots(&poll, 0..100)).await;
    assert!(matches!(cut, Err(StoreError::Unknown(_))), "{cut:?}");
    proxy.set(Fault::None);
    let again = record(&store, &ballots(&poll, 0..100)).await;
    assert_eq!(again.outcomes, vec![Outcome::Counted; 100]);
    assert_eq!(tallies(&store, &poll).await.voters, 100);
}

#[tokio::test]
async fn frozen_server_times_out_and_is_used_again() {
    let (_database, proxy, store) = behind_proxy().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..10)).await;
    proxy.set(Fault::Frozen);
    let batch = ballots(&poll, 10..20);
    let both = async { tokio::join!(store.record(&batch), store.tallies(poll.id)) };
    let (recorded, read) = within(CALL_MAX, "both end", both).await;
    assert!(matches!(recorded, Err(StoreError::Unavailable(_))), "{recorded:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    proxy.set(Fault::None);
    assert_eq!(record(&store, &batch).await.outcomes, vec![Outcome::Counted; 10]);
    assert_eq!(tallies(&store, &poll).await.voters, 20);
}

#[tokio::test]
async fn terminated_connections_are_replaced() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..10)).await;
    database.end_connections().await;
    // A recently used connection isn't checked before it is used; nothing was recorded on it.
    let first = store.record(&ballots(&poll, 10..20)).await;
    assert!(matches!(first, Ok(_) | Err(StoreError::Unavailable(_))), "{first:?}");
    record(&store, &ballots(&poll, 10..20)).await;
    assert_eq!(tallies(&store, &poll).await.voters, 20);
}

#[tokio::test]
async fn read_only_database_is_unavailable_for_recording() {
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
async fn unreachable_server_is_unavailable() {
    let (database, _) = Database::with_store().await;
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let opened = PostgresStore::open(&database.url_through(&address)).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");
}

#[tokio::test]
async fn damaged_rows_are_reported_as_corrupt() {
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
