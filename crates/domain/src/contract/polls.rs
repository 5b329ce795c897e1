//! Polls: stored as they were made, changed only by whoever saw their last version.

use super::support::{OPENS_AT, create, done, new_poll};
use crate::store::{Store, StoreError, Window};

/// A poll comes back as it was made.
pub async fn a_poll_is_stored_as_it_was_made(store: &dyn Store) {
    let mut new = new_poll("best-song");
    new.title = "Quote ' \" <b> é 日本 \u{1f3b6}".to_owned();
    new.min_choices = Some(2);
    let made = done(store.create_poll(new.clone()).await);
    let stored = done(store.poll(&made.slug).await);
    assert_eq!(stored.as_ref(), Some(&made));
    assert_eq!(made, new.into_poll(made.id));
    assert_eq!(done(store.polls().await), [made]);
    assert_eq!(done(store.poll(&new_poll("other").slug).await), None);
}

/// Two polls can't have one name.
pub async fn a_taken_slug_is_a_conflict(store: &dyn Store) {
    create(store, "poll").await;
    assert!(matches!(store.create_poll(new_poll("poll")).await, Err(StoreError::Conflict(_))));
    assert_eq!(done(store.polls().await).len(), 1);
}

/// A poll that breaks a rule isn't stored, and the error names every fault.
pub async fn a_poll_that_breaks_a_rule_is_rejected(store: &dyn Store) {
    let mut new = new_poll("poll");
    new.title.clear();
    new.labels.truncate(1);
    match store.create_poll(new).await {
        Err(StoreError::Rejected(why)) => assert!(why.contains("title") && why.contains("options"), "{why}"),
        other => panic!("a rejection was expected, not {other:?}"),
    }
    assert_eq!(done(store.polls().await), []);
}

/// A change is made only by whoever saw the last version.
pub async fn a_window_is_set_only_on_the_version_seen(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(OPENS_AT.plus_ms(5)) };
    let changed = done(store.set_window(poll.id, poll.version, window).await);
    assert!(changed.version > poll.version);
    assert_eq!(done(store.poll(&poll.slug).await), Some(changed));
    assert!(matches!(store.set_window(poll.id, poll.version, window).await, Err(StoreError::Conflict(_))));
}

/// Whoever keeps polls in memory sees that one was created or changed.
pub async fn the_polls_version_grows_with_every_change(store: &dyn Store) {
    let before = done(store.polls_version().await);
    let poll = create(store, "poll").await;
    let created = done(store.polls_version().await);
    let window = Window { opens_at: None, closes_at: None };
    done(store.set_window(poll.id, poll.version, window).await);
    let changed = done(store.polls_version().await);
    assert!(before < created && created < changed, "{before} {created} {changed}");
}
