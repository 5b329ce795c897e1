//! The schema: migrated by the first process that starts, in a database that may be empty or partly migrated.

use throng_backends::store::mysql;
use throng_domain::audit::Author;
use throng_domain::clock::Timestamp;
use throng_domain::contract::support::{ballot, create, record, tallies};
use throng_domain::poll_change::PollChange;
use throng_domain::rounds::Rounds;
use throng_domain::store::{BallotStore as _, Mark, PollStore as _, Schema as _, StoreError, Window};
use throng_domain::tally::TallyChange;

use super::{OwnDatabase, execute};

#[tokio::test]
async fn concurrent_migrations_apply_each_step_once() {
    let database = OwnDatabase::create().await;
    let (left, right) = (database.open().await.unwrap(), database.open().await.unwrap());
    assert!(left.migration_states().await.unwrap().iter().all(|state| !state.applied));
    let (by_left, by_right) = tokio::join!(left.migrate(), right.migrate());
    let mut applied = [by_left.unwrap(), by_right.unwrap()].concat();
    applied.sort_unstable();
    assert_eq!(applied, mysql::migrations().iter().map(|migration| migration.name).collect::<Vec<_>>());
    assert!(left.migration_states().await.unwrap().iter().all(|state| state.applied));
    assert_eq!(right.migrate().await.unwrap(), Vec::<&str>::new());
}

#[tokio::test]
async fn interrupted_step_is_applied_again() {
    let (database, store) = OwnDatabase::with_store().await;
    let mut connection = database.connect().await;
    execute(&mut connection, "DROP TABLE tally; DELETE FROM schema_migration".to_owned()).await;
    assert_eq!(store.migrate().await.unwrap().len(), mysql::migrations().len());
    let poll = create(&store, "poll").await;
    assert_eq!(tallies(&store, &poll).await.voters, 0);
    assert_eq!(store.polls_version().await.unwrap(), 1);
}

/// The names of the migrations after the one with this number.
fn after(version: usize) -> Vec<&'static str> {
    mysql::migrations()[version..].iter().map(|migration| migration.name).collect()
}

/// Makes the tables those of before 0004_result.
const UNDO_4: &str = "DROP TABLE `show`; DROP TABLE webhook; DROP TABLE webhook_delivery; DROP TABLE tally_detail; DROP TABLE admin_token; DROP TABLE audit; DROP TABLE code; DROP TABLE code_batch; \
                      ALTER TABLE poll DROP COLUMN policy, DROP COLUMN quota, DROP COLUMN option_quota, DROP COLUMN proof, \
                      DROP COLUMN changeable, DROP COLUMN consent, DROP COLUMN archived_at, DROP COLUMN last_option, \
                      DROP COLUMN voids, DROP COLUMN imported, DROP COLUMN changed, DROP COLUMN counting, \
                      DROP COLUMN allowed_origins, DROP COLUMN locale, DROP COLUMN option_order, DROP COLUMN rehearsal; \
                      ALTER TABLE ballot DROP COLUMN policy; \
                      INSERT INTO tally (poll_id, option_id, shard, count) SELECT poll_id, 0, shard, voters FROM result; \
                      DROP TABLE result";

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_counts() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1]), ballot(&poll, 2, &[1, 3])]).await;
    let before = tallies(&store, &poll).await;
    let revert = "ALTER TABLE poll DROP COLUMN closed_at, DROP COLUMN final_at; \
                  DROP TABLE recording_round, recording_consumer, recording_queue; \
                  DELETE FROM schema_migration WHERE version >= 2";
    execute(&mut database.connect().await, format!("{UNDO_4}; {revert}")).await;
    // A store with connections that have used the old tables would get an error from the server.
    let store = database.open().await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), after(1));
    assert_eq!((tallies(&store, &poll).await, store.polls().await.unwrap()), (before.clone(), vec![poll.clone()]));
    record(&store, &[ballot(&poll, 3, &[2])]).await;
    // A process of an earlier version, which still runs, adds to the tally of option 0.
    let earlier = format!(
        "INSERT INTO ballot SELECT poll_id, UNHEX(REPEAT('77', 16)), NULL, '[1]', accepted_at, NULL FROM ballot LIMIT 1; \
         UPDATE tally SET count = count + 1 WHERE poll_id = {} AND option_id IN (0, 1)",
        poll.id.0
    );
    execute(&mut database.connect().await, earlier).await;
    let after = store.recount(poll.id).await.unwrap();
    assert_eq!((after.tallies.seq, after.tallies.voters), (before.seq + 2, 4));
    assert!(after.tallies.counts_equal(&after.ballots), "{after:?}");
    let removed = TallyChange { voters: -4, ..TallyChange::none(poll.id) };
    let changed = store.change_tallies(&removed).await.unwrap();
    assert_eq!((changed.seq, changed.voters), (before.seq + 3, 0));
}

#[tokio::test]
async fn a_database_of_the_second_version_keeps_its_counts_and_marks() {
    let (database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1])]).await;
    let window = Window { opens_at: Some(Timestamp(1)), closes_at: Some(Timestamp(5_000)) };
    let closed = store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await.unwrap();
    assert_eq!(store.mark(&[(closed.id, closed.version)], Mark::Closed).await.unwrap(), 1);
    let before = (tallies(&store, &poll).await, store.polls().await.unwrap());
    let revert = "DROP TABLE recording_round, recording_consumer, recording_queue; DELETE FROM schema_migration WHERE version >= 3";
    execute(&mut database.connect().await, format!("{UNDO_4}; {revert}")).await;
    let store = database.open().await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), after(2));
    assert_eq!((tallies(&store, &poll).await, store.polls().await.unwrap()), before);
    assert_eq!(store.begin_round(0).await.unwrap().number, 1);
}

#[tokio::test]
async fn mark_is_not_set_before_it_is_due_by_the_servers_clock() {
    let (_database, store) = OwnDatabase::with_store().await;
    let poll = create(&store, "poll").await;
    let window = Window { opens_at: Some(Timestamp(1)), closes_at: Some(store.now().await.unwrap().plus_ms(60_000)) };
    let poll = store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await.unwrap();
    for mark in [Mark::Closed, Mark::Final] {
        assert_eq!(store.mark(&[(poll.id, poll.version)], mark).await.unwrap(), 0);
    }
    assert_eq!(store.polls().await.unwrap(), [poll]);
}

#[tokio::test]
async fn later_schema_version_is_rejected() {
    let (database, store) = OwnDatabase::with_store().await;
    let later = "INSERT INTO schema_migration (version, name) VALUES (99, '0099_later')";
    execute(&mut database.connect().await, later.to_owned()).await;
    for refused in [store.migrate().await.map(drop), store.migration_states().await.map(drop)] {
        assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("version 99")), "{refused:?}");
    }
}

#[tokio::test]
async fn missing_tables_are_rejected_with_advice() {
    let database = OwnDatabase::create().await;
    let store = database.open().await.unwrap();
    let missing = store.polls().await;
    assert!(matches!(&missing, Err(StoreError::Rejected(why)) if why.contains("throng schema migrate")), "{missing:?}");
}
