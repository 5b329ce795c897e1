//! Settings with which an answered commit could be lost.

use throng_domain::clock::{Clock as _, SystemClock};
use throng_domain::contract::support::{create, done};
use throng_domain::store::{Database as _, Store as _};

use super::database::Database;

#[tokio::test]
async fn safe_settings_are_not_spoken_of() {
    let database = Database::empty().await;
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = local", database.name)).await;
    let settings = done(database.open().await.unsafe_settings().await);
    // The server of the tests may be set up to be fast; that is its own affair.
    assert!(!settings.iter().any(|setting| setting.contains("synchronous_commit")), "{settings:?}");
}

#[tokio::test]
async fn a_database_that_answers_too_early_is_named() {
    let database = Database::empty().await;
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name)).await;
    let settings = done(database.open().await.unsafe_settings().await);
    assert!(settings.iter().any(|setting| setting.contains("set synchronous_commit = on")), "{settings:?}");
}

#[tokio::test]
async fn the_time_is_the_servers() {
    let database = Database::empty().await;
    let store = database.open().await;
    let (before, there, after) = (SystemClock.now(), done(store.now().await), SystemClock.now());
    assert!(before.0 - 1 <= there.0 && there.0 <= after.0 + 1, "{before:?} {there:?} {after:?}");
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_whatever_the_database_says() {
    let (database, _) = Database::with_store().await;
    database.say_how_polls_are_committed().await;
    for (set, becomes) in [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        database.run(&format!("ALTER DATABASE {} SET synchronous_commit = {set}", database.name)).await;
        let store = database.open().await;
        let made = create(&store, &set.replace('_', "-")).await;
        assert_eq!(done(store.poll(&made.slug).await).unwrap().title, becomes);
    }
}
