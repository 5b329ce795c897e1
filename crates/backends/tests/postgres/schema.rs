//! The schema, and databases in an unexpected state.

use throng_backends::store::postgres::{PostgresStore, migrations};
use throng_domain::audit::Author;
use throng_domain::ballot::Ballot;
use throng_domain::contract::support::{OPENS_AT, ballot, create, done, record, tallies};
use throng_domain::poll_change::PollChange;
use throng_domain::rounds::Rounds as _;
use throng_domain::store::{BallotStore as _, Mark, MigrationState, PollStore as _, Schema as _, StoreError, Window};
use throng_domain::tally::TallyChange;

use super::ballots;
use super::database::{Database, url};

fn applied(states: &[MigrationState]) -> Vec<bool> {
    states.iter().map(|state| state.applied).collect()
}

#[tokio::test]
async fn concurrent_migrations_apply_each_step_once() {
    let database = Database::empty().await;
    let stores = [database.open().await, database.open().await, database.open().await];
    let [a, b, c] = &stores;
    assert_eq!(applied(&done(a.migration_states().await)), vec![false; migrations().len()]);
    let (a, b, c) = tokio::join!(a.migrate(), b.migrate(), c.migrate());
    // Each step is applied once, by any of the stores.
    let mut steps = [done(a), done(b), done(c)].concat();
    steps.sort_unstable();
    let names: Vec<_> = migrations().iter().map(|migration| migration.name).collect();
    assert_eq!(steps, names);
    assert_eq!(done(stores[0].migrate().await), Vec::<&str>::new());
    assert_eq!(applied(&done(stores[0].migration_states().await)), vec![true; migrations().len()]);
}

/// The names of the migrations after the one with this number.
fn after(version: usize) -> Vec<&'static str> {
    migrations()[version..].iter().map(|migration| migration.name).collect()
}

/// Makes the tables those of before 0004_result.
const UNDO_4: &str = "DROP TABLE show; DROP TABLE webhook; DROP TABLE webhook_delivery; DROP TABLE tally_detail; DROP TABLE admin_token; DROP TABLE audit; DROP TABLE code; DROP TABLE code_batch; \
                      ALTER TABLE poll DROP COLUMN policy, DROP COLUMN quota, DROP COLUMN option_quota, DROP COLUMN proof, \
                      DROP COLUMN changeable, DROP COLUMN consent, DROP COLUMN archived_at, DROP COLUMN last_option, \
                      DROP COLUMN voids, DROP COLUMN imported, DROP COLUMN changed, DROP COLUMN counting, \
                      DROP COLUMN allowed_origins, DROP COLUMN locale, DROP COLUMN option_order, DROP COLUMN rehearsal; \
                      ALTER TABLE ballot DROP COLUMN policy; \
                      INSERT INTO tally (poll_id, option_id, shard, count) SELECT poll_id, 0, shard, voters FROM result; \
                      DROP TABLE result";

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_counts() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1]), ballot(&poll, 2, &[1, 3])]).await;
    let before = tallies(&store, &poll).await;
    database.run(UNDO_4).await;
    database.run("ALTER TABLE poll DROP COLUMN closed_at, DROP COLUMN final_at").await;
    database.run("DROP TABLE recording_round; DROP TABLE recording_consumer; DROP TABLE recording_queue").await;
    database.run("DELETE FROM schema_migration WHERE version >= 2").await;
    let store = database.open().await;
    assert_eq!(done(store.migrate().await), after(1));
    assert_eq!((tallies(&store, &poll).await, done(store.polls().await)), (before.clone(), vec![poll.clone()]));
    record(&store, &[ballot(&poll, 3, &[2])]).await;
    // A process of an earlier version, which still runs, adds to the tally of option 0.
    database
        .run("INSERT INTO ballot SELECT poll_id, decode(repeat('77', 16), 'hex'), NULL, '[1]', accepted_at, NULL FROM ballot LIMIT 1")
        .await;
    let earlier = "UPDATE tally SET count = count + 1 WHERE option_id IN (0, 1) AND poll_id =";
    database.run(&format!("{earlier} {}", poll.id.0)).await;
    let after = done(store.recount(poll.id).await);
    assert_eq!((after.tallies.seq, after.tallies.voters), (before.seq + 2, 4));
    assert!(after.tallies.counts_equal(&after.ballots), "{after:?}");
    let removed = TallyChange { voters: -4, ..TallyChange::none(poll.id) };
    let changed = done(store.change_tallies(&removed).await);
    assert_eq!((changed.seq, changed.voters), (before.seq + 3, 0));
}

#[tokio::test]
async fn a_database_of_the_second_version_keeps_its_counts_and_marks() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1])]).await;
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(OPENS_AT.plus_ms(5)) };
    let closed = done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Closed).await), 1);
    let before = (tallies(&store, &poll).await, done(store.polls().await));
    database.run(UNDO_4).await;
    database.run("DROP TABLE recording_round; DROP TABLE recording_consumer; DROP TABLE recording_queue").await;
    database.run("DELETE FROM schema_migration WHERE version >= 3").await;
    let store = database.open().await;
    assert_eq!(done(store.migrate().await), after(2));
    assert_eq!((tallies(&store, &poll).await, done(store.polls().await)), before);
    assert_eq!(done(store.begin_round(0).await).number, 1);
}

#[tokio::test]
async fn mark_is_not_set_before_it_is_due_by_the_servers_clock() {
    let (_database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(done(store.now().await).plus_ms(60_000)) };
    let poll = done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    for mark in [Mark::Closed, Mark::Final] {
        assert_eq!(done(store.mark(&[(poll.id, poll.version)], mark).await), 0);
    }
    assert_eq!(done(store.polls().await), [poll]);
}

#[tokio::test]
async fn later_schema_version_is_rejected() {
    let (database, store) = Database::with_store().await;
    database.run("INSERT INTO schema_migration VALUES (99, '0099_later')").await;
    assert!(matches!(store.migrate().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
    assert!(matches!(store.migration_states().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
}

#[tokio::test]
async fn read_only_database_can_be_read() {
    let (database, _) = Database::with_store().await;
    database.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name)).await;
    let store = database.open().await;
    assert_eq!(done(store.migrate().await), Vec::<&str>::new());
    assert_eq!(done(store.polls().await), []);
}

#[tokio::test]
async fn missing_tables_are_rejected_with_advice() {
    let (ready, other) = Database::with_store().await;
    let poll = create(&other, "poll").await;
    drop(ready);
    let database = Database::empty().await;
    let store = database.open().await;
    for refused in [store.polls().await.map(drop), store.record(&ballots(&poll, 0..1)).await.map(drop)] {
        assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("schema migrate")), "{refused:?}");
    }
}

#[tokio::test]
async fn missing_database_is_rejected_with_advice() {
    let mut database = Database::empty().await;
    let name = std::mem::replace(&mut database.name, "throng_test_no_such".to_owned());
    let opened = PostgresStore::open(&database.url()).await;
    assert!(matches!(&opened, Err(StoreError::Rejected(why)) if why.contains("createdb")), "{opened:?}");
    database.name = name;
}

#[tokio::test]
async fn wrong_password_is_rejected_with_advice() {
    let database = Database::empty().await;
    let wrong = url(&format!("postgres://throng:wrong@{}", Database::upstream()), &database.name);
    let opened = PostgresStore::open(&wrong).await;
    assert!(matches!(&opened, Err(StoreError::Rejected(why)) if why.contains("DATABASE_URL")), "{opened:?}");
    assert!(!format!("{opened:?}").contains("wrong@"));
}

#[tokio::test]
async fn missing_privilege_is_rejected_with_the_grant_statement() {
    let database = Database::empty().await;
    let (name, user) = (&database.name, format!("u{}", &database.name[database.name.len() - 12..]));
    database
        .run(&format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {user} LOGIN PASSWORD 'only-here'"))
        .await;
    let limited = url(&format!("postgres://{user}:only-here@{}", Database::upstream()), name);
    let store = done(PostgresStore::open(&limited).await);
    let refused = store.migrate().await;
    database.run(&format!("DROP ROLE {user}")).await;
    let grant = format!("GRANT CREATE, USAGE ON SCHEMA public TO {user}");
    assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains(&grant)), "{refused:?}");
}

#[tokio::test]
async fn violated_constraint_is_rejected() {
    let (database, store) = Database::with_store().await;
    let poll = create(&store, "poll").await;
    database.run("ALTER TABLE ballot ADD CHECK (accepted_at < 5000)").await;
    let later = Ballot { accepted_at: OPENS_AT.plus_ms(10_000), ..ballots(&poll, 0..1).remove(0) };
    assert!(matches!(store.record(&[later]).await, Err(StoreError::Rejected(_))));
    assert_eq!(done(store.tallies(poll.id).await).voters, 0);
}
