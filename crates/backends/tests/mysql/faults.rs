//! A server that is unavailable, frozen or locked, or whose response is lost: the error reports what is known, in time, and
//! afterwards every ballot is counted once.

use std::time::Duration;

use sqlx::Row;
use throng_backends::store::mysql::MySqlStore;
use throng_domain::contract::support::{ballot, create, record, tallies};
use throng_domain::store::{BallotStore as _, Outcome, PollStore as _, Schema as _, StoreError};
use throng_testkit::{ChaosProxy, Fault, within};
use tokio::net::TcpListener;

use super::{OwnDatabase, execute, server, server_url};

/// Twice as long as a call may take in all.
const CALL_MAX: Duration = Duration::from_secs(20);

/// A proxy in front of the server.
fn proxy() -> ChaosProxy {
    ChaosProxy::start(server().rsplit_once('@').unwrap().1)
}

#[tokio::test]
async fn lost_commit_response_is_unknown_and_retry_counts_once() {
    let (database, _) = OwnDatabase::with_store().await;
    let proxy = proxy();
    let store = database.open_through(proxy.address()).await.unwrap();
    let poll = create(&store, "poll").await;
    for (number, fault, expected) in [
        (1, Fault::LoseResponseTo("\u{3}COMMIT"), Outcome::CountedBefore),
        (2, Fault::CutBefore("\u{3}COMMIT"), Outcome::Counted),
    ] {
        let batch = [ballot(&poll, number, &[1])];
        proxy.set(fault);
        let lost = store.record(&batch).await;
        assert!(matches!(lost, Err(StoreError::Unknown(_))), "{fault:?}: {lost:?}");
        proxy.set(Fault::None);
        assert_eq!(record(&store, &batch).await.outcomes, [expected], "{fault:?}");
    }
    assert_eq!(tallies(&store, &poll).await.voters, 2);
}

#[tokio::test]
async fn frozen_server_times_out_and_is_used_again() {
    let (database, _) = OwnDatabase::with_store().await;
    let proxy = proxy();
    let store = database.open_through(proxy.address()).await.unwrap();
    let poll = create(&store, "poll").await;
    proxy.set(Fault::Frozen);
    let frozen = within(CALL_MAX, "recording ends", store.record(&[ballot(&poll, 1, &[1])])).await;
    assert!(matches!(frozen, Err(StoreError::Unavailable(_))), "{frozen:?}");
    let frozen = within(CALL_MAX, "the query ends", store.polls_version()).await;
    assert!(matches!(frozen, Err(StoreError::Unavailable(_))), "{frozen:?}");

    proxy.set(Fault::None);
    assert_eq!(record(&store, &[ballot(&poll, 1, &[1])]).await.outcomes, [Outcome::Counted]);
    assert_eq!(tallies(&store, &poll).await.voters, 1);
}

#[tokio::test]
async fn a_locked_table_is_unavailable_and_nothing_is_recorded() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let mut connection = database.connect().await;
    execute(&mut connection, "LOCK TABLES ballot WRITE".to_owned()).await;
    let locked = within(CALL_MAX, "recording ends", store.record(&[ballot(&poll, 1, &[1])])).await;
    assert!(matches!(locked, Err(StoreError::Unavailable(_))), "{locked:?}");

    execute(&mut connection, "UNLOCK TABLES".to_owned()).await;
    assert_eq!(tallies(&store, &poll).await.voters, 0);
    assert_eq!(record(&store, &[ballot(&poll, 1, &[1])]).await.outcomes, [Outcome::Counted]);
}

#[tokio::test]
async fn connections_that_were_killed_are_replaced() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1])]).await;
    let mut connection = database.connect().await;
    let others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let others = sqlx::raw_sql(others).fetch_all(&mut connection).await.unwrap();
    assert!(!others.is_empty());
    for other in others {
        execute(&mut connection, format!("KILL {}", other.get_unchecked::<i64, _>(0))).await;
    }
    // Shortly after its last use, a connection isn't checked before it is used.
    let broken = store.record(&[ballot(&poll, 2, &[1])]).await;
    assert!(matches!(broken, Ok(_) | Err(StoreError::Unavailable(_))), "{broken:?}");
    record(&store, &[ballot(&poll, 2, &[1])]).await;
    assert_eq!(tallies(&store, &poll).await.voters, 2);
}

#[tokio::test]
async fn dropped_call_leaves_no_half_used_connection() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let mut connection = database.connect().await;
    execute(&mut connection, "LOCK TABLES tally WRITE".to_owned()).await;
    let batch = [ballot(&poll, 1, &[1])];
    let dropped = tokio::time::timeout(Duration::from_millis(200), store.record(&batch)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    execute(&mut connection, "UNLOCK TABLES".to_owned()).await;
    assert_eq!(record(&store, &batch).await.outcomes, [Outcome::Counted]);
    assert_eq!(tallies(&store, &poll).await.voters, 1);
}

#[tokio::test]
async fn unreachable_server_is_unavailable() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let opened = MySqlStore::open(&server_url(&format!("mysql://ann:secret@{address}/throng"))).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");
}

#[tokio::test]
async fn configuration_errors_are_rejected_with_advice() {
    let (_, address) = server().rsplit_once('@').map(|(user, host)| (user.to_owned(), host.to_owned())).unwrap();
    let wrong = [
        (format!("mysql://nobody:secret@{address}/throng"), "check the user and the password in DATABASE_URL"),
        (format!("{}/throng_test_no_such_database", server()), "create it"),
    ];
    for (url, advice) in wrong {
        match MySqlStore::open(&server_url(&url)).await {
            Err(StoreError::Rejected(why)) => assert!(why.contains(advice) && !why.contains("secret"), "{why}"),
            other => panic!("a rejection was expected, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn test_server_is_durable_and_has_a_clock() {
    let (_database, store) = OwnDatabase::with_store().await;
    assert_eq!(store.unsafe_settings().await.unwrap(), Vec::<String>::new());
    // 2026-01-01; `throng doctor` checks whether the time is right.
    assert!(store.now().await.unwrap().0 > 1_767_225_600_000);
}

#[tokio::test]
async fn debug_output_omits_the_password() {
    let (_database, store) = OwnDatabase::with_store().await;
    let server = server();
    let (account, _) = server.rsplit_once('@').unwrap();
    let (_, password) = account.rsplit_once(':').unwrap();
    assert!(!password.is_empty() && !format!("{store:?}").contains(password));
}
