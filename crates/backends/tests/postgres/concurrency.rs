//! Several stores in one database.

use std::collections::BTreeSet;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use throng_backends::store::postgres::PostgresStore;
use throng_domain::ballot::Ballot;
use throng_domain::contract::support::{OPENS_AT, ballot, create, done, record, tallies};
use throng_domain::poll::Poll;
use throng_domain::store::{Outcome, Store as _, Window};
use tokio::task::JoinSet;
use tokio::time::{Duration, interval, timeout};

use super::ballots;
use super::database::Database;

/// What each of several stores records at once.
const BATCHES: u128 = 40;

/// Records batches whose ballots partly are in another store's too. Returns the numbers of those it counted.
async fn record_many(store: PostgresStore, poll: Poll, offset: u128) -> BTreeSet<u128> {
    let (mut counted, mut seq) = (BTreeSet::new(), 0);
    for batch in 0..BATCHES {
        let first = (batch * 2 + offset % 2) * 30;
        let recorded = record(&store, &ballots(&poll, first..first + 45)).await;
        let numbers = (first..first + 45).zip(&recorded.outcomes);
        let new: Vec<_> =
            numbers.filter(|(_, outcome)| **outcome == Outcome::Counted).map(|(number, _)| number).collect();
        let [tallies] = &recorded.tallies[..] else { panic!("there is one poll: {:?}", recorded.tallies) };
        assert!(tallies.seq >= seq + new.len() as u64, "from {seq} to {}, {} of them own", tallies.seq, new.len());
        assert_eq!(tallies.counts[0].1, tallies.voters);
        seq = tallies.seq;
        counted.extend(new);
        // Whatever another connection reads after that commit isn't older.
        assert!(done(store.tallies(poll.id).await).seq >= seq);
    }
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_record_at_once_count_each_ballot_once() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    // A default that would have one of two who record at once fail.
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
    assert_eq!(all.len(), sum, "a ballot was answered as counted twice");
    assert_eq!(tallies(&store, &poll).await.voters, all.len() as u64);
    assert_eq!(all.len() as u128, BATCHES * 60 + 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_records_does_not_keep_out_who_closes() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    let closes_at = OPENS_AT.plus_ms(10);
    let mut recorders = JoinSet::new();
    for recorder in 0..4 {
        let (store, poll) = (database.open().await, poll.clone());
        recorders.spawn(async move {
            // Until the close is seen: in these polls' time these ballots arrive at the moment of closing.
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
    done(store.set_window(poll.id, poll.version, window).await);
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
async fn a_batch_that_loses_a_deadlock_is_recorded_again() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..1)).await;
    let mut other = database.connect().await;
    for statement in ["BEGIN", "UPDATE tally SET count = count"] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    let batch = ballots(&poll, 1..2);
    let obstruct = async {
        waits_for_a_lock(&mut database.connect().await).await;
        // Now each waits for the other; the one who waited first is chosen to give way.
        let insert = "INSERT INTO ballot SELECT poll_id, $1, NULL, '[2]', 0 FROM ballot";
        sqlx::query(insert).bind(&batch[0].key.0[..]).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
    };
    let (recorded, ()) = tokio::join!(record(&store, &batch), obstruct);
    assert_eq!(recorded.outcomes, [Outcome::Counted]);
    assert_eq!(tallies(&store, &poll).await.voters, 2);
}

/// Waits until somebody in this database waits for a lock.
async fn waits_for_a_lock(observer: &mut PgConnection) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut tick = interval(Duration::from_millis(10));
    let waits = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *observer).await.unwrap() == 0 {
            tick.tick().await;
        }
    };
    timeout(Duration::from_secs(10), waits).await.expect("somebody waits for a lock");
}

#[tokio::test]
async fn a_store_records_in_another_runtime_than_it_was_opened_in() {
    let (_database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    let batch = ballots(&poll, 0..10);
    let recorded = std::thread::scope(|scope| {
        // As long as this thread is waited for, nothing moves in the runtime that the store was opened in.
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
async fn a_batch_that_is_given_up_leaves_nothing_behind() {
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
        () = waits_for_a_lock(&mut observer) => {}
    }
    other.close().await.unwrap();
    assert_eq!(record(&store, &batch).await.outcomes, vec![Outcome::Counted; 49]);
    assert_eq!(tallies(&store, &poll).await.voters, 50);
}
