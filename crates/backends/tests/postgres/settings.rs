//! Settings with which an acknowledged commit could be lost.

use throng_domain::clock::{Clock as _, SystemClock};
use throng_domain::contract::support::{create, done};
use throng_domain::store::{PollStore as _, Schema as _};

use super::database::Database;

#[tokio::test]
async fn durable_settings_are_not_reported() {
    let database = Database::empty().await;
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = local", database.name)).await;
    let settings = done(database.open().await.unsafe_settings().await);
    // Other settings aren't checked, since the server of the tests may be configured for speed.
    assert!(!settings.iter().any(|setting| setting.contains("synchronous_commit")), "{settings:?}");
}

#[tokio::test]
async fn asynchronous_commit_is_reported() {
    let database = Database::empty().await;
    database.run(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name)).await;
    let settings = done(database.open().await.unsafe_settings().await);
    assert!(settings.iter().any(|setting| setting.contains("set synchronous_commit = on")), "{settings:?}");
}

#[tokio::test]
async fn time_is_the_servers() {
    let database = Database::empty().await;
    let store = database.open().await;
    let (before, there, after) = (SystemClock.now(), done(store.now().await), SystemClock.now());
    assert!(before.0 - 1 <= there.0 && there.0 <= after.0 + 1, "{before:?} {there:?} {after:?}");
}

#[tokio::test]
async fn commit_waits_for_the_disk_despite_database_setting() {
    let (database, _) = Database::with_store().await;
    database.record_commit_settings().await;
    for (set, expected) in [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        database.run(&format!("ALTER DATABASE {} SET synchronous_commit = {set}", database.name)).await;
        let store = database.open().await;
        let made = create(&store, &set.replace('_', "-")).await;
        assert_eq!(done(store.poll(&made.slug).await).unwrap().title, expected);
    }
}
