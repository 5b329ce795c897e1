//! Several stores in one database.

use std::collections::BTreeSet;
use throng_domain::audit::Author;
use throng_domain::poll_change::PollChange;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use throng_backends::store::postgres::PostgresStore;
use throng_domain::ballot::Ballot;
use throng_domain::contract::support::{OPENS_AT, ballot, create, done, record, tallies};
use throng_domain::poll::Poll;
use throng_domain::store::{BallotStore as _, Outcome, PollStore as _, Window};
use tokio::task::JoinSet;
use tokio::time::{Duration, interval, timeout};

use super::ballots;
use super::database::Database;

/// The number of batches that each store records.
const BATCHES: u128 = 40;

/// Records batches that share some ballots with those of another store. Returns the numbers of the ballots that it counted.
async fn record_many(store: PostgresStore, poll: Poll, offset: u128) -> BTreeSet<u128> {
    let (mut counted, mut seq) = (BTreeSet::new(), 0);
    for batch in 0..BATCHES {
        let first = (batch * 2 + offset % 2) * 30;
        let recorded = record(&store, &ballots(&poll, first..first + 45)).await;
        let numbers = (first..first + 45).zip(&recorded.outcomes);
        let new: Vec<_> =
            numbers.filter(|(_, outcome)| **outcome == Outcome::Counted).map(|(number, _)| number).collect();
        let [tallies] = &recorded.tallies[..] else { panic!("there is one poll: {:?}", recorded.tallies) };
        assert!(
            tallies.seq >= seq + new.len() as u64,
            "seq from {seq} to {}, with {} ballots of its own",
            tallies.seq,
            new.len()
        );
        assert_eq!(tallies.counts[0].1, tallies.voters);
        seq = tallies.seq;
        counted.extend(new);
        // What another connection reads after that commit isn't older.
        assert!(done(store.tallies(poll.id).await).seq >= seq);
    }
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_record_at_once_count_each_ballot_once() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    // A default with which one of two concurrent recordings would fail.
    database.run(&format!("ALTER DATABASE {} SET default_transaction_isolation = serializable", database.name)).await;
    let mut recorders = JoinSet::new();
    for offset in 0..4 {
        recorders.spawn(record_many(database.open().await, poll.clone(), offset));
    }
    let (mut all, mut sum) = (BTreeSet::new(), 0);
    while let Some(counted) = recorders.join_next().await {
        let counted = counted.unwrap();
        sum += counted.len();
        all.extend(counted);
    }
    assert_eq!(all.len(), sum, "a ballot was reported as counted twice");
    assert_eq!(tallies(&store, &poll).await.voters, all.len() as u64);
    assert_eq!(all.len() as u128, BATCHES * 60 + 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_recording_does_not_block_closing() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    let closes_at = OPENS_AT.plus_ms(10);
    let mut recorders = JoinSet::new();
    for recorder in 0..4 {
        let (store, poll) = (database.open().await, poll.clone());
        recorders.spawn(async move {
            // Until the close takes effect: all these ballots have the closing time as their arrival time.
            for number in 0.. {
                let late = Ballot { accepted_at: closes_at, ..ballot(&poll, recorder << 64 | number, &[1]) };
                match &record(&store, &[late]).await.outcomes[..] {
                    [Outcome::Counted] => {}
                    outcomes => return (number, outcomes.to_vec()),
                }
            }
            unreachable!("the poll was closed")
        });
    }
    while done(store.tallies(poll.id).await).voters < 20 {}
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(closes_at) };
    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    let at_close = done(store.tallies(poll.id).await).voters;
    let mut counted = 0;
    while let Some(ended) = recorders.join_next().await {
        let (before, outcomes) = ended.unwrap();
        assert_eq!(outcomes, [Outcome::TooLate]);
        counted += before as u64;
    }
    assert_eq!(tallies(&store, &poll).await.voters, counted);
    assert_eq!(at_close, counted, "a late ballot was counted after the close was done");
}

#[tokio::test]
async fn batch_that_loses_a_deadlock_is_retried() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..1)).await;
    let mut other = database.connect().await;
    for statement in ["BEGIN", "UPDATE tally SET count = count"] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    let batch = ballots(&poll, 1..2);
    let block = async {
        wait_for_lock_waiter(&mut database.connect().await).await;
        // Now each waits for the other; PostgreSQL aborts the one that waited first.
        let insert = "INSERT INTO ballot SELECT poll_id, $1, NULL, '[2]', 0 FROM ballot";
        sqlx::query(insert).bind(&batch[0].key.0[..]).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
    };
    let (recorded, ()) = tokio::join!(record(&store, &batch), block);
    assert_eq!(recorded.outcomes, [Outcome::Counted]);
    assert_eq!(tallies(&store, &poll).await.voters, 2);
}

/// Waits until a session in this database waits for a lock.
async fn wait_for_lock_waiter(observer: &mut PgConnection) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut tick = interval(Duration::from_millis(10));
    let waits = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *observer).await.unwrap() == 0 {
            tick.tick().await;
        }
    };
    timeout(Duration::from_secs(10), waits).await.expect("a session waits for a lock");
}

#[tokio::test]
async fn store_records_in_another_runtime() {
    let (_database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    let batch = ballots(&poll, 0..10);
    let recorded = std::thread::scope(|scope| {
        // While this thread is joined, the runtime that the store was opened in makes no progress.
        let recorder = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(record(&store, &batch))
        });
        recorder.join().unwrap()
    });
    assert_eq!(recorded.outcomes, vec![Outcome::Counted; 10]);
    assert_eq!(tallies(&store, &poll).await.voters, 10);
}

#[tokio::test]
async fn cancelled_batch_leaves_nothing_behind() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..1)).await;
    let mut other = database.connect().await;
    for statement in ["BEGIN", "UPDATE tally SET count = count"] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    let batch = ballots(&poll, 1..50);
    let mut observer = database.connect().await;
    tokio::select! {
        _ = store.record(&batch) => panic!("the tallies are locked"),
        () = wait_for_lock_waiter(&mut observer) => {}
    }
    other.close().await.unwrap();
    assert_eq!(record(&store, &batch).await.outcomes, vec![Outcome::Counted; 49]);
    assert_eq!(tallies(&store, &poll).await.voters, 50);
}
