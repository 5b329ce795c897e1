use std::path::PathBuf;
use std::sync::Barrier;

use super::*;

async fn fresh(directory: PathBuf) -> SqliteStore {
    let store = SqliteStore::open(&directory.join("below/throng.db")).unwrap();
    store.migrate().await.unwrap();
    store
}

throng_domain::store_contract!(fresh);

#[tokio::test]
async fn the_file_is_synced_at_every_commit_and_logged() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    let writer = store.lock_writer();
    let pragma = |name| writer.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("synchronous"), 2.into());
}

#[tokio::test]
async fn a_file_that_nobody_has_open_is_whole_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    assert_eq!(store.polls().await.unwrap(), []);
    let log = directory.path().join("below/throng.db-wal");
    assert!(log.exists());
    drop(store);
    assert!(!log.exists());
}

#[test]
fn several_may_open_a_new_file_at_once() {
    const OPENERS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    for number in 0..50 {
        let path = directory.path().join(format!("{number}.db"));
        let together = Barrier::new(OPENERS);
        let open = || {
            together.wait();
            SqliteStore::open(&path).map(drop)
        };
        let opened = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
            opening.into_iter().try_for_each(|opening| opening.join().unwrap())
        });
        opened.unwrap();
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    assert_eq!(store.migrate().await.unwrap(), Vec::<&str>::new());
    assert!(store.migration_states().await.unwrap().iter().all(|state| state.applied));
}

#[tokio::test]
async fn a_file_of_a_later_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    store.lock_writer().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(store.migrate().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
    assert!(matches!(store.migration_states().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
}

#[tokio::test]
async fn looking_at_a_file_that_is_not_there_does_not_make_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("below/throng.db");
    assert!(SqliteStore::open_existing(&path).unwrap().is_none());
    assert!(!path.parent().unwrap().exists());
    drop(fresh(directory.path().to_owned()).await);
    assert!(SqliteStore::open_existing(&path).unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_database_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Corrupt(_))));
}

#[test]
fn migrations_are_numbered_by_their_names() {
    for (number, migration) in (1..).zip(migrations()) {
        assert_eq!(migration.version, number);
        assert!(migration.name.starts_with(&format!("{number:04}_")), "{}", migration.name);
    }
}
