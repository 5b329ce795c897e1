//! Polls: stored as they were created, changed only by callers that saw their last version.

use super::support::{OPENS_AT, ballot, create, done, new_poll, record, tallies};
use crate::audit::Author;
use crate::ballot::Ballot;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::new_poll::NewPoll;
use crate::poll::{Poll, PollId, PollState, Proof};
use crate::poll_change::{Edit, PollChange};
use crate::store::{Close, Mark, Outcome, PollEntry, Store, StoreError, Window};

/// A close as soon as possible.
const NOW: Close = Close { at: Timestamp(0), heard_ms: 0 };

/// A poll is returned as it was created.
pub async fn poll_is_stored_as_created(store: &dyn Store) {
    let mut new = new_poll("best-song");
    new.title = "Quote ' \" <b> é 日本 \u{1f3b6}".to_owned();
    new.min_choices = Some(2);
    new.proof = Proof::Always;
    let created = done(store.create_poll(new.clone(), &Author::THRONG).await);
    let stored = done(store.poll(&created.slug).await);
    assert_eq!(stored.as_ref(), Some(&created));
    assert_eq!(created, new.into_poll(created.id));
    assert_eq!(done(store.polls().await), [created]);
    assert_eq!(done(store.poll(&new_poll("other").slug).await), None);
}

/// A rehearsal is one from its creation on, whatever is done to it.
pub async fn a_rehearsal_stays_one(store: &dyn Store) {
    let new = NewPoll { rehearsal: true, opens_at: None, ..new_poll("rehearsal") };
    let created = done(store.create_poll(new, &Author::THRONG).await);
    let title = Some("Other?".to_owned());
    let edit = PollChange::Edit(Edit { title, ..Edit::default() });
    let edited = done(store.change_poll(created.id, created.version, edit, &Author::THRONG).await);
    let window = PollChange::Window(Window { opens_at: Some(OPENS_AT), closes_at: None });
    let opened = done(store.change_poll(created.id, edited.version, window, &Author::THRONG).await);
    assert!(created.rehearsal && edited.rehearsal && opened.rehearsal);
    assert_eq!(done(store.polls_by_id(&[created.id]).await).first(), Some(&opened));
    let import = PollChange::Import(vec![(opened.options[0].id, 5)]);
    let imported = store.change_poll(opened.id, opened.version, import, &Author::THRONG).await;
    assert!(matches!(imported, Err(StoreError::Rejected(_))), "{imported:?}");
    assert!(!create(store, "poll").await.rehearsal);
}

/// Two polls can't have the same slug.
pub async fn a_taken_slug_is_a_conflict(store: &dyn Store) {
    create(store, "poll").await;
    assert!(matches!(store.create_poll(new_poll("poll"), &Author::THRONG).await, Err(StoreError::Conflict(_))));
    assert_eq!(done(store.polls().await).len(), 1);
}

/// A poll that breaks a rule isn't stored, and the error names every fault.
pub async fn a_poll_that_breaks_a_rule_is_rejected(store: &dyn Store) {
    let mut new = new_poll("poll");
    new.title.clear();
    new.labels.truncate(1);
    match store.create_poll(new, &Author::THRONG).await {
        Err(StoreError::Rejected(why)) => assert!(why.contains("title") && why.contains("options"), "{why}"),
        other => panic!("a rejection was expected, not {other:?}"),
    }
    assert_eq!(done(store.polls().await), []);
}

/// A change is made only if the caller saw the last version.
pub async fn a_window_is_set_only_on_the_version_seen(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(OPENS_AT.plus_ms(5)) };
    let changed = done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    assert!(changed.version > poll.version);
    assert_eq!(done(store.poll(&poll.slug).await), Some(changed));
    assert!(matches!(
        store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await,
        Err(StoreError::Conflict(_))
    ));
}

/// A process that keeps polls in memory can detect that one was created or changed.
pub async fn the_polls_version_grows_with_every_change(store: &dyn Store) {
    let before = done(store.polls_version().await);
    let poll = create(store, "poll").await;
    let created = done(store.polls_version().await);
    let window = Window { opens_at: None, closes_at: None };
    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await);
    let changed = done(store.polls_version().await);
    assert!(before < created && created < changed, "{before} {created} {changed}");
}

/// The close of a poll is determined by the database's clock, once the batches before it are committed.
pub async fn close_is_later_than_recorded_ballots(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let at = |number, accepted_at| Ballot { accepted_at, ..ballot(&poll, number, &[1]) };
    let arrived = SystemClock.now();
    record(store, &[at(1, arrived)]).await;
    let closed = done(store.change_poll(poll.id, poll.version, PollChange::Close(NOW), &Author::THRONG).await);
    let closes_at = closed.closes_at.expect("it was closed");
    // This machine's clock and the server's may differ slightly where they aren't the same.
    assert!(closes_at > arrived.plus_ms(-1_000), "{closes_at:?} {arrived:?}");
    assert_eq!(done(store.poll(&poll.slug).await), Some(closed));
    let recorded = record(store, &[at(2, closes_at.plus_ms(-1)), at(3, closes_at)]).await;
    assert_eq!(recorded.outcomes, [Outcome::Counted, Outcome::TooLate]);

    let other = create(store, "other").await;
    let later = Close { at: arrived.plus_ms(3_600_000), heard_ms: 1_000 };
    let other = done(store.change_poll(other.id, other.version, PollChange::Close(later), &Author::THRONG).await);
    assert_eq!(other.closes_at, Some(later.at));
    let sooner = done(
        store
            .change_poll(other.id, other.version, PollChange::Close(Close { heard_ms: 60_000, ..NOW }), &Author::THRONG)
            .await,
    );
    assert!(sooner.closes_at > Some(arrived.plus_ms(50_000)) && sooner.closes_at < other.closes_at, "{sooner:?}");
}

/// A poll that has closed by itself, or was changed, isn't closed by a caller that hasn't seen that.
pub async fn close_of_a_closed_or_changed_poll_is_a_conflict(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let closed = closed(store, &poll).await;
    for version in [poll.version, closed.version] {
        assert!(matches!(
            store.change_poll(poll.id, version, PollChange::Close(NOW), &Author::THRONG).await,
            Err(StoreError::Conflict(_))
        ));
    }
}

/// That a poll has closed, or is final, holds for all processes until its window is set again.
pub async fn mark_holds_until_the_window_is_set(store: &dyn Store) {
    let poll = create(store, "poll").await;
    let closed = closed(store, &poll).await;
    let before = done(store.polls_version().await);
    assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Closed).await), 1);
    let marked = done(store.poll(&poll.slug).await).expect("it is there");
    assert!(marked.closed_at.is_some() && marked.final_at.is_none() && marked.version > closed.version, "{marked:?}");
    assert!(done(store.polls_version().await) > before);
    assert_eq!(marked.state(Timestamp(0)), PollState::Closing);
    assert_eq!(done(store.mark(&[(poll.id, marked.version)], Mark::Closed).await), 0, "it has the mark already");
    assert_eq!(done(store.mark(&[(poll.id, marked.version)], Mark::Final).await), 1);
    let last = done(store.poll(&poll.slug).await).expect("it is there");
    assert_eq!((last.state(Timestamp(0)), last.closed_at), (PollState::Final, marked.closed_at));
    assert_eq!(done(store.polls().await), std::slice::from_ref(&last));

    let window = Window { opens_at: Some(OPENS_AT), closes_at: None };
    let again = done(store.change_poll(poll.id, last.version, PollChange::Window(window), &Author::THRONG).await);
    assert_eq!((again.closed_at, again.final_at), (None, None));
    assert_eq!(done(store.poll(&poll.slug).await), Some(again));
    assert_eq!(record(store, &[ballot(&poll, 1, &[1])]).await.outcomes, [Outcome::Counted]);
}

/// A process that knows the polls finds those that changed by the version of all polls, and reads no others.
pub async fn changed_polls_are_found_by_version(store: &dyn Store) {
    let (first, second) = (create(store, "first").await, create(store, "second").await);
    let draft = done(store.create_poll(NewPoll { opens_at: None, ..new_poll("draft") }, &Author::THRONG).await);
    let known = done(store.polls_version().await);
    let all = done(store.poll_entries(0).await);
    let entry = |poll: &Poll, changed| PollEntry {
        id: poll.id,
        slug: poll.slug.clone(),
        version: poll.version,
        changed,
        opens_at: poll.opens_at,
        closes_at: poll.closes_at,
        is_closed: false,
        is_final: false,
        is_archived: false,
    };
    assert_eq!(all, [entry(&first, known - 2), entry(&second, known - 1), entry(&draft, known)]);
    assert_eq!(done(store.poll_entries(known - 1).await), all[2..]);
    assert_eq!(done(store.poll_entries(known).await), []);

    let changed = closed(store, &second).await;
    assert_eq!(done(store.poll_entries(known).await), [entry(&changed, known + 1)]);
    assert_eq!(done(store.mark(&[(changed.id, changed.version)], Mark::Final).await), 1);
    let last = done(store.poll(&second.slug).await).expect("it is there");
    let ended = PollEntry { is_closed: true, is_final: true, ..entry(&last, known + 2) };
    assert_eq!(done(store.poll_entries(known).await), std::slice::from_ref(&ended));
    let archived = store.change_poll(last.id, last.version, PollChange::Archive(true), &Author::THRONG).await;
    let archived = PollEntry { version: done(archived).version, changed: known + 3, is_archived: true, ..ended };
    done(store.delete_poll(draft.id, draft.version, &Author::THRONG).await);
    assert_eq!(done(store.poll_entries(known).await), std::slice::from_ref(&archived));
    assert_eq!(done(store.polls_version().await), known + 4);
    let slugs: Vec<_> = done(store.latest_slugs(1).await);
    assert_eq!(slugs, std::slice::from_ref(&second.slug));
    assert_eq!(done(store.latest_slugs(10).await), [second.slug, first.slug]);
}

/// Polls are read by their numbers, those that there are.
pub async fn polls_are_read_by_number(store: &dyn Store) {
    let (first, second) = (create(store, "first").await, create(store, "second").await);
    let changed = closed(store, &second).await;
    assert_eq!(done(store.polls_by_id(&[second.id]).await), std::slice::from_ref(&changed));
    let unknown = PollId(second.id.0 + 1_000);
    let mut all = done(store.polls_by_id(&[second.id, unknown, first.id]).await);
    all.sort_by_key(|poll| poll.id);
    assert_eq!(all, [first, changed]);
    assert_eq!(done(store.polls_by_id(&[]).await), []);
}

/// A mark is set only for the window that was seen, and only on polls that have an end.
pub async fn a_mark_is_set_only_on_the_version_seen(store: &dyn Store) {
    let (poll, endless) = (create(store, "poll").await, create(store, "endless").await);
    let closed = closed(store, &poll).await;
    let seen = [(poll.id, poll.version), (endless.id, endless.version)];
    assert_eq!(done(store.mark(&seen, Mark::Final).await), 0);
    assert_eq!(done(store.polls().await), [closed, endless]);
}

/// A final result doesn't change, whenever a ballot arrived; a ballot that it includes is reported as before.
pub async fn final_poll_accepts_no_ballot(store: &dyn Store) {
    let (poll, open) = (create(store, "poll").await, create(store, "open").await);
    let first = ballot(&poll, 1, &[1]);
    record(store, std::slice::from_ref(&first)).await;
    let closed = closed(store, &poll).await;
    assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Closed).await), 1);
    // While closed, it accepts what arrived in time.
    assert_eq!(record(store, &[ballot(&poll, 2, &[1])]).await.outcomes, [Outcome::Counted]);
    assert_eq!(done(store.mark(&[(closed.id, closed.version + 1)], Mark::Final).await), 1);
    let recorded = record(store, &[first, ballot(&poll, 3, &[1]), ballot(&open, 3, &[1])]).await;
    assert_eq!(recorded.outcomes, [Outcome::CountedBefore, Outcome::TooLate, Outcome::Counted]);
    assert_eq!(tallies(store, &poll).await.voters, 2);
}

/// The poll with a window that ended long ago, after the suite's ballots arrived.
pub(super) async fn closed(store: &dyn Store, poll: &Poll) -> Poll {
    let window = Window { opens_at: Some(OPENS_AT), closes_at: Some(OPENS_AT.plus_ms(5)) };
    done(store.change_poll(poll.id, poll.version, PollChange::Window(window), &Author::THRONG).await)
}
