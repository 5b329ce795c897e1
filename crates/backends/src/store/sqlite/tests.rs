mod voters;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Barrier;
use throng_domain::audit::Author;
use throng_domain::poll_change::PollChange;

use throng_domain::contract::support::{ballot, create, record, tallies};

use super::place::with_suffix;
use super::*;
use throng_domain::ballot::{BallotId, Choices};
use throng_domain::poll::OptionId;
use throng_domain::store::Window;

use crate::store::DatabaseUrl;

async fn fresh(directory: PathBuf) -> SqliteStore {
    open(&directory).await
}

async fn open(directory: &Path) -> SqliteStore {
    let store = SqliteStore::open(&directory.join("throng.db")).unwrap();
    store.migrate().await.unwrap();
    store
}

throng_domain::store_contract!(|directory| async { ((), fresh(directory).await) });

#[tokio::test]
async fn file_is_in_wal_mode_and_synced_at_every_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    let writer = store.lock_writer();
    let pragma =
        |name| writer.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("synchronous"), 2.into());
}

#[tokio::test]
async fn closed_file_is_complete_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    assert_eq!(store.polls().await.unwrap(), []);
    let log = directory.path().join("throng.db-wal");
    assert!(log.exists());
    drop(store);
    assert!(!log.exists());
}

#[test]
fn new_file_is_opened_concurrently() {
    const OPENERS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    for number in 0..50 {
        let path = directory.path().join(format!("{number}.db"));
        let barrier = Barrier::new(OPENERS);
        let open = || {
            barrier.wait();
            let store = SqliteStore::open(&path)?;
            schema::migrate(&mut store.lock_writer().connection)?;
            store.lock_writer().enable_log(&path)
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
async fn file_of_a_later_version_is_left_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    store.lock_writer().connection.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(store.migrate().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
    assert!(matches!(store.migration_states().await, Err(StoreError::Rejected(why)) if why.contains("version 99")));
}

#[tokio::test]
async fn open_existing_does_not_create_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    assert!(SqliteStore::open_existing(&path).unwrap().is_none());
    assert!(!path.exists());
    drop(fresh(directory.path().to_owned()).await);
    assert!(SqliteStore::open_existing(&path).unwrap().is_some());
}

#[tokio::test]
async fn file_other_than_a_database_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn created_files_are_private_to_their_owner() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path()).await;
    for name in ["throng.db", "throng.db-wal", "throng.db-shm"] {
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn missing_directory_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let mistyped = directory.path().join("vra/throng.db");
    let refused = SqliteStore::open(&mistyped);
    assert!(matches!(refused, Err(StoreError::Rejected(why)) if why.contains("no directory") && why.contains("vra")));
}

#[tokio::test]
async fn log_without_its_file_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    let log = with_suffix(&path, "-wal");
    for empty in [false, true] {
        std::fs::write(&log, "a log").unwrap();
        if empty {
            std::fs::write(&path, "").unwrap();
        }
        for refused in [SqliteStore::open(&path).map(Some), SqliteStore::open_existing(&path)] {
            assert!(matches!(refused, Err(StoreError::Rejected(why)) if why.contains("throng restore")));
        }
        assert_eq!(std::fs::read(&log).unwrap(), b"a log");
    }
}

/// The files that a killed server leaves: a database, and a log that wasn't copied into it.
async fn copy_of_killed_server(directory: &Path, copy: &Path) {
    let store = open(directory).await;
    store.create_poll(NewPoll::demo("demo".parse().unwrap(), Timestamp(0)), &Author::THRONG).await.unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("throng.db{suffix}");
        std::fs::copy(directory.join(&name), copy.join(&name)).unwrap();
    }
}

#[tokio::test]
async fn log_of_a_killed_server_is_recovered() {
    let (directory, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_of_killed_server(directory.path(), killed.path()).await;
    assert_eq!(open(killed.path()).await.polls().await.unwrap().len(), 1);
}

#[tokio::test]
async fn log_of_another_state_is_not_applied_to_a_file() {
    let (directory, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, backup) = (killed.path().join("throng.db"), directory.path().join("backup.db"));
    for copied in [true, false] {
        let store = open(directory.path()).await;
        if copied {
            std::fs::copy(directory.path().join("throng.db"), &backup).unwrap();
        } else {
            std::fs::remove_file(&backup).unwrap();
            let vacuum = ["VACUUM INTO '", backup.to_str().unwrap(), "'"].concat();
            store.lock_writer().connection.execute_batch(&vacuum).unwrap();
        }
        // What is written from here on isn't in the backup.
        store.lock_writer().checkpoint().unwrap();
        if copied {
            copy_of_killed_server(directory.path(), killed.path()).await;
        }
        drop(store);
        std::fs::copy(&backup, &path).unwrap();
        let before = std::fs::read(with_suffix(&path, "-wal")).unwrap();
        let refused = [SqliteStore::open(&path).map(Some), SqliteStore::open_existing(&path)];
        for refused in refused {
            assert!(matches!(refused, Err(StoreError::Rejected(why)) if why.contains("doesn't belong")), "{copied}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&backup).unwrap());
        assert_eq!(std::fs::read(with_suffix(&path, "-wal")).unwrap(), before);
    }
}

#[tokio::test]
async fn file_copied_without_log_and_tables_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    let database = Connection::open(&path).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.execute_batch("CREATE TABLE ballot (key)").unwrap();
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert!(matches!(SqliteStore::open(&copy), Err(StoreError::Rejected(why)) if why.contains("has no tables")));
}

#[tokio::test]
async fn served_file_has_its_tables_without_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    let claim = DatabaseUrl::Sqlite(path.clone()).claim().unwrap();
    let store = SqliteStore::open_or_create(&path, claim.as_ref()).unwrap();
    store.migrate().await.unwrap();
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let copy = SqliteStore::open_existing(&copy).unwrap().unwrap();
    assert!(copy.migration_states().await.unwrap().iter().all(|state| state.applied));
}

#[tokio::test]
async fn log_is_copied_into_the_file_when_idle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    let claim = DatabaseUrl::Sqlite(path.clone()).claim().unwrap();
    let store = SqliteStore::open_or_create(&path, claim.as_ref()).unwrap();
    store.migrate().await.unwrap();
    store.create_poll(NewPoll::demo("demo".parse().unwrap(), Timestamp(0)), &Author::THRONG).await.unwrap();
    store.maintain().await.unwrap();
    store.maintain().await.unwrap();
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(SqliteStore::open(&copy).unwrap().polls().await.unwrap().len(), 1);
}

#[test]
fn maintenance_waits_for_another_process_to_end_its_write() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = runtime.block_on(open(directory.path()));
    let mut other = Connection::open(directory.path().join("throng.db")).unwrap();
    for _ in 0..20 {
        other.execute_batch("BEGIN IMMEDIATE; UPDATE polls_version SET version = version + 1").unwrap();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let other = &mut other;
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                other.execute_batch("COMMIT").unwrap();
            });
            barrier.wait();
            runtime.block_on(store.maintain()).unwrap();
        });
    }
}

/// Closing one releases all locks of the process, including those of the stores that are still in use.
#[tokio::test]
async fn log_index_stays_open_while_a_store_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    let claim = DatabaseUrl::Sqlite(path.clone()).claim().unwrap();
    let stores = [(); 2].map(|()| SqliteStore::open_or_create(&path, claim.as_ref()).unwrap());
    for store in &stores {
        store.migrate().await.unwrap();
    }
    let index = with_suffix(&path.canonicalize().unwrap(), "-shm");
    let handles = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter(|handle| std::fs::read_link(handle.as_ref().unwrap().path()).is_ok_and(|to| to == index)).count()
    };
    let before = handles();
    let [first, second] = stores;
    drop(second);
    assert_eq!(handles(), before);
    drop(first);
}

#[tokio::test]
async fn displaced_file_accepts_nothing() {
    for (name, other) in [("throng.db", "moved.db"), ("throng.db-wal", "moved.db-wal"), ("throng.db-shm", "gone")] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        store.maintain().await.unwrap();
        std::fs::rename(directory.path().join(name), directory.path().join(other)).unwrap();
        let maintained = store.maintain().await;
        assert!(matches!(maintained, Err(StoreError::Displaced(why)) if why.contains(name)), "{name}");
        let read = store.polls_version().await;
        assert_eq!(read.is_err(), name != "throng.db-shm", "{name}");
        std::fs::rename(directory.path().join(other), directory.path().join(name)).unwrap();
        store.maintain().await.unwrap();
    }
}

#[tokio::test]
async fn reader_ends_before_the_log_gets_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll =
        store.create_poll(NewPoll::demo("demo".parse().unwrap(), Timestamp(0)), &Author::THRONG).await.unwrap().id;
    let ballot = |number| {
        let id = BallotId(uuid::Uuid::from_u128(number));
        Ballot::unlimited(poll, id, Choices::new([OptionId(1)]).unwrap(), Timestamp(1))
    };
    let ballots: Vec<_> = (1..=60_000).map(ballot).collect();
    store.record(&ballots).await.unwrap();
    assert_eq!(store.recount(poll).await.unwrap().ballots.voters, 60_000);
    let backup = || copy(&directory.path().join("throng.db"), tempfile::NamedTempFile::new().unwrap().path());
    assert_eq!(backup().unwrap().ballots, 60_000);
    let log = std::fs::File::options().write(true).open(directory.path().join("throng.db-wal")).unwrap();
    log.set_len(1 << 30).unwrap();
    for ended in [store.recount(poll).await.map(drop), backup().map(drop)] {
        let Err(StoreError::Unavailable(why)) = ended else { panic!("{ended:?}") };
        assert!(why.to_string().contains("has grown to 900 MB"), "{why}");
    }
    // An export reads page by page, and blocks the reset of the log for no longer than a page takes.
    assert_eq!(store.ballots(poll, None, 10).await.unwrap().ballots.len(), 10);
}

#[test]
fn migrations_are_numbered_by_their_names() {
    for (number, migration) in (1..).zip(migrations()) {
        assert_eq!(migration.version, number);
        assert!(migration.name.starts_with(&format!("{number:04}_")), "{}", migration.name);
    }
}

/// The names of the migrations after the one with this number.
fn after(version: usize) -> Vec<&'static str> {
    migrations()[version..].iter().map(|migration| migration.name).collect()
}

/// Undoes 0015_shows.
const UNDO_15: &str = "DROP TABLE show; PRAGMA user_version = 14;";

/// Undoes 0014_rehearsals_and_webhooks.
const UNDO_14: &str = "DROP TABLE webhook; DROP TABLE webhook_delivery; ALTER TABLE poll DROP COLUMN rehearsal; \
                       PRAGMA user_version = 13;";

/// Undoes 0013_origins_and_locale.
const UNDO_13: &str = "ALTER TABLE poll DROP COLUMN allowed_origins; ALTER TABLE poll DROP COLUMN locale; \
                       ALTER TABLE poll DROP COLUMN option_order; PRAGMA user_version = 12;";

/// Undoes 0012_ranked_and_score.
const UNDO_12: &str = "DROP TABLE tally_detail; ALTER TABLE poll DROP COLUMN counting; PRAGMA user_version = 11;";

/// Undoes 0011_changed_polls.
const UNDO_11: &str = "DROP INDEX poll_changed; ALTER TABLE poll DROP COLUMN changed; PRAGMA user_version = 10;";

/// Undoes 0010_admin_tokens.
const UNDO_10: &str = "DROP TABLE admin_token; PRAGMA user_version = 9;";

/// Undoes 0009_edits.
const UNDO_9: &str = "DROP TABLE audit; ALTER TABLE polls_version DROP COLUMN last_deleted; \
                      ALTER TABLE poll DROP COLUMN consent; ALTER TABLE poll DROP COLUMN archived_at; \
                      ALTER TABLE poll DROP COLUMN last_option; ALTER TABLE poll DROP COLUMN voids; \
                      ALTER TABLE poll DROP COLUMN imported; \
                      PRAGMA user_version = 8;";

/// Undoes 0008_codes.
const UNDO_8: &str = "DROP TABLE code; DROP TABLE code_batch; PRAGMA user_version = 7;";

/// Undoes 0007_changeable.
const UNDO_7: &str = "ALTER TABLE poll DROP COLUMN changeable; PRAGMA user_version = 6;";

/// Undoes 0006_proof.
const UNDO_6: &str = "ALTER TABLE poll DROP COLUMN proof; PRAGMA user_version = 5;";

/// Undoes 0005_policies.
const UNDO_5: &str = "ALTER TABLE poll DROP COLUMN policy; ALTER TABLE poll DROP COLUMN quota; \
                      ALTER TABLE poll DROP COLUMN option_quota; DROP TABLE voter_ballot; \
                      PRAGMA user_version = 4;";

/// Undoes 0004_result.
const UNDO_4: &str = "INSERT INTO tally (poll_id, option_id, shard, count) SELECT poll_id, 0, shard, voters FROM result; \
                      DROP TABLE result; PRAGMA user_version = 3;";

/// Undoes 0003_rounds.
const UNDO_3: &str = "DROP TABLE recording_round; DROP TABLE recording_consumer; DROP TABLE recording_queue; \
                      PRAGMA user_version = 2;";

/// Undoes 0002_end_of_a_poll.
const UNDO_2: &str =
    "ALTER TABLE poll DROP COLUMN closed_at; ALTER TABLE poll DROP COLUMN final_at; PRAGMA user_version = 1;";

#[tokio::test]
async fn file_of_the_first_version_keeps_its_counts() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1]), ballot(&poll, 2, &[1, 3])]).await;
    let before = tallies(&store, &poll).await;
    store
        .lock_writer()
        .connection
        .execute_batch(
            &[
                UNDO_15, UNDO_14, UNDO_13, UNDO_12, UNDO_11, UNDO_10, UNDO_9, UNDO_8, UNDO_7, UNDO_6, UNDO_5, UNDO_4,
                UNDO_3, UNDO_2,
            ]
            .concat(),
        )
        .unwrap();
    assert_eq!(store.migrate().await.unwrap(), after(1));
    assert_eq!((tallies(&store, &poll).await, store.polls().await.unwrap()), (before.clone(), vec![poll.clone()]));
    record(&store, &[ballot(&poll, 3, &[2])]).await;
    let after = store.recount(poll.id).await.unwrap();
    assert_eq!((after.tallies.seq, after.tallies.voters), (before.seq + 1, 3));
    assert!(after.tallies.counts_equal(&after.ballots));
    let removed = TallyChange { voters: -3, ..TallyChange::none(poll.id) };
    let changed = store.change_tallies(&removed).await.unwrap();
    assert_eq!((changed.seq, changed.voters), (before.seq + 2, 0));
}

#[tokio::test]
async fn copy_of_an_earlier_version_is_checked_and_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("throng.db");
    {
        let store = fresh(directory.path().to_owned()).await;
        let poll = create(&store, "poll").await;
        record(&store, &[ballot(&poll, 1, &[1]), ballot(&poll, 2, &[1, 3])]).await;
        store
            .lock_writer()
            .connection
            .execute_batch(
                &[
                    UNDO_15, UNDO_14, UNDO_13, UNDO_12, UNDO_11, UNDO_10, UNDO_9, UNDO_8, UNDO_7, UNDO_6, UNDO_5,
                    UNDO_4, UNDO_3, UNDO_2,
                ]
                .concat(),
            )
            .unwrap();
    }
    let to = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(copy(&path, to.path()).unwrap(), Checked { polls: 1, ballots: 2 });
    let copied = Connection::open(to.path()).unwrap();
    let version: u32 = copied.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let voters: u64 = copied.query_row("SELECT count FROM tally WHERE option_id = 0", [], |row| row.get(0)).unwrap();
    assert_eq!((version, voters), (1, 2));
}

#[tokio::test]
async fn file_of_the_second_version_keeps_counts_and_marks() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(directory.path().to_owned()).await;
    let poll = create(&store, "poll").await;
    record(&store, &[ballot(&poll, 1, &[1])]).await;
    let window = Window { opens_at: poll.opens_at, closes_at: Some(Timestamp(5_000)) };
    let closed = store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await.unwrap();
    assert_eq!(store.mark(&[(closed.id, closed.version)], Mark::Closed).await.unwrap(), 1);
    let before = (tallies(&store, &poll).await, store.polls().await.unwrap());
    store
        .lock_writer()
        .connection
        .execute_batch(
            &[
                UNDO_15, UNDO_14, UNDO_13, UNDO_12, UNDO_11, UNDO_10, UNDO_9, UNDO_8, UNDO_7, UNDO_6, UNDO_5, UNDO_4,
                UNDO_3,
            ]
            .concat(),
        )
        .unwrap();
    assert_eq!(store.migrate().await.unwrap(), after(2));
    assert_eq!((tallies(&store, &poll).await, store.polls().await.unwrap()), before);
    assert_eq!(store.begin_round(0).await.unwrap().number, 1);
}
