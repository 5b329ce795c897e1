//! The schema: brought up to date by whoever comes first, in a database that may be empty or half done.

use throng_backends::store::{mysql, sqlite};
use throng_domain::contract::support::{create, tallies};
use throng_domain::store::{Database, Store, StoreError};

use super::{OwnDatabase, execute};

#[tokio::test]
async fn two_may_migrate_at_once() {
    let database = OwnDatabase::make().await;
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
async fn a_step_that_was_broken_off_is_begun_anew() {
    let (database, store) = OwnDatabase::with_store().await;
    let mut stranger = database.stranger().await;
    execute(&mut stranger, "DROP TABLE tally; DELETE FROM schema_migration".to_owned()).await;
    assert_eq!(store.migrate().await.unwrap().len(), mysql::migrations().len());
    let poll = create(&store, "poll").await;
    assert_eq!(tallies(&store, &poll).await.voters, 0);
    assert_eq!(store.polls_version().await.unwrap(), 1);
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_left_alone() {
    let (database, store) = OwnDatabase::with_store().await;
    let later = "INSERT INTO schema_migration (version, name) VALUES (99, '0099_later')";
    execute(&mut database.stranger().await, later.to_owned()).await;
    for refused in [store.migrate().await.map(drop), store.migration_states().await.map(drop)] {
        assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("version 99")), "{refused:?}");
    }
}

#[tokio::test]
async fn a_database_without_tables_is_told_to_be_migrated() {
    let database = OwnDatabase::make().await;
    let store = database.open().await.unwrap();
    let missing = store.polls().await;
    assert!(matches!(&missing, Err(StoreError::Rejected(why)) if why.contains("throng schema migrate")), "{missing:?}");
}

#[test]
fn migrations_are_those_of_the_other_databases() {
    let steps = |migrations: &[throng_domain::store::Migration]| -> Vec<_> {
        migrations.iter().map(|migration| (migration.version, migration.name)).collect()
    };
    assert_eq!(steps(mysql::migrations()), steps(sqlite::migrations()));
}
