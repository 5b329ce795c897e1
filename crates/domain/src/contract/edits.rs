//! Edits of polls, and who made which.

use super::polls::closed;
use super::support::{OPENS_AT, ballot, create, create_with_quota, done, new_poll, record, tallies};
use crate::audit::{Action, Author};
use crate::ballot::VoterKey;
use crate::clock::Timestamp;
use crate::code::BatchName;
use crate::new_poll::NewPoll;
use crate::origins::AllowedOrigins;
use crate::policy::{Policy, Quota};
use crate::poll::{Kind, Locale, OptionId, OptionOrder, Poll, Visibility};
use crate::poll_change::{Edit, PollChange};
use crate::store::{Mark, Store, StoreError, Window};

/// A draft with the given slug.
async fn draft(store: &dyn Store, slug: &str) -> Poll {
    done(store.create_poll(NewPoll { opens_at: None, ..new_poll(slug) }, &Author::THRONG).await)
}

async fn edit(store: &dyn Store, poll: &Poll, edit: Edit) -> Result<Poll, StoreError> {
    store.change_poll(poll.id, poll.version, PollChange::Edit(edit), &Author::THRONG).await
}

fn origins(listed: &[&str]) -> AllowedOrigins {
    listed.iter().filter_map(|origin| origin.parse().ok()).collect()
}

fn labels(poll: &Poll) -> Vec<(u16, &str)> {
    poll.options.iter().map(|option| (option.id.0, option.label.as_str())).collect()
}

/// Before a poll opens, everything but its slug changes; ids of options are never given to others.
pub async fn a_draft_is_edited(store: &dyn Store) {
    let before = draft(store, "poll").await;
    let change = Edit {
        title: Some("Other?".to_owned()),
        consent: Some("I am 18.".to_owned()),
        labels: vec![(OptionId(2), "second".to_owned())],
        added: vec!["sixth".to_owned()],
        removed: vec![OptionId(1), OptionId(5)],
        kind: Some(Kind::Single),
        policy: Some(Policy::Device),
        ballots: Some(3),
        per_option: Some(Some(2)),
        results: Some(Visibility::Never),
        allowed_origins: Some(origins(&["https://a.example", "null"])),
        locale: Some(Locale::TraditionalChinese),
        option_order: Some(OptionOrder::Shuffle),
        ..Edit::default()
    };
    let after = done(edit(store, &before, change).await);
    assert_eq!(done(store.poll(&before.slug).await).as_ref(), Some(&after));
    assert_eq!((after.title.as_str(), after.consent.as_str()), ("Other?", "I am 18."));
    assert_eq!(labels(&after)[0], (2, "second"));
    assert_eq!(after.options.iter().map(|option| option.id.0).collect::<Vec<_>>(), [2, 3, 4, 6]);
    assert_eq!((after.kind, after.max_choices, after.policy), (Kind::Single, 1, Policy::Device));
    assert_eq!(after.quota, Quota { ballots: 3, per_option: Some(2) });
    assert_eq!(after.version, before.version + 1);

    let removed = done(edit(store, &after, Edit { removed: vec![OptionId(6)], ..Edit::default() }).await);
    let added = done(edit(store, &removed, Edit { added: vec!["seventh".to_owned()], ..Edit::default() }).await);
    assert_eq!(labels(&added).last(), Some(&(7, "seventh")));
    assert_eq!(done(store.polls().await), [added]);
}

/// With ballots, only what can't change a count changes, and the result gets a higher version.
pub async fn only_texts_of_a_poll_with_ballots_are_edited(store: &dyn Store) {
    let poll = create(store, "poll").await;
    record(store, &[ballot(&poll, 1, &[1, 2])]).await;
    let before = tallies(store, &poll).await;
    for fixed in [
        Edit { added: vec!["sixth".to_owned()], ..Edit::default() },
        Edit { removed: vec![OptionId(5)], ..Edit::default() },
        Edit { kind: Some(Kind::Single), ..Edit::default() },
        Edit { max_choices: Some(2), ..Edit::default() },
        Edit { policy: Some(Policy::Device), ..Edit::default() },
    ] {
        match edit(store, &poll, fixed.clone()).await {
            Err(StoreError::Rejected(why)) => assert!(why.contains("can't change once"), "{fixed:?}: {why}"),
            other => panic!("{fixed:?}: {other:?}"),
        }
    }
    let labels_of = vec![(OptionId(1), "erste".to_owned())];
    let listed = Some(origins(&["https://a.example"]));
    let free = Edit {
        labels: labels_of,
        allowed_origins: listed.clone(),
        locale: Some(Locale::Arabic),
        option_order: Some(OptionOrder::Shuffle),
        ..Edit::default()
    };
    let after = done(edit(store, &poll, free).await);
    let stored = done(store.poll(&poll.slug).await).expect("it is there");
    assert_eq!((Some(stored.allowed_origins), stored.locale), (listed, Locale::Arabic));
    assert_eq!(labels(&after)[0], (1, "erste"));
    let counts = tallies(store, &poll).await;
    assert_eq!((counts.voters, &counts.counts), (before.voters, &before.counts));
    assert!(counts.seq > before.seq);

    // A closed poll that has none may change.
    let empty = create_with_quota(store, "empty", Quota::ONE).await;
    let closed = closed(store, &empty).await;
    let opened = edit(store, &closed, Edit { added: vec!["sixth".to_owned()], ..Edit::default() }).await;
    assert!(matches!(opened, Err(StoreError::Rejected(_))), "a ballot may be on its way: {opened:?}");
    assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Closed).await), 1);
    assert_eq!(done(store.mark(&[(closed.id, closed.version + 1)], Mark::Final).await), 1);
    let last = done(store.poll(&empty.slug).await).expect("it is there");
    let changed = done(edit(store, &last, Edit { added: vec!["sixth".to_owned()], ..Edit::default() }).await);
    assert_eq!(changed.options.len(), 6);
}

/// An edit is made only if the caller saw the last version, and breaks no rule.
pub async fn an_edit_that_breaks_a_rule_is_rejected(store: &dyn Store) {
    let poll = draft(store, "poll").await;
    for (faulty, part) in [
        (Edit { title: Some(" ".to_owned()), ..Edit::default() }, "title"),
        (Edit { removed: (1..=4).map(OptionId).collect(), ..Edit::default() }, "options"),
        (Edit { labels: vec![(OptionId(9), "ninth".to_owned())], ..Edit::default() }, "no option 9"),
        (Edit { changeable: Some(true), ..Edit::default() }, "change it"),
    ] {
        match edit(store, &poll, faulty).await {
            Err(StoreError::Rejected(why)) => assert!(why.contains(part), "{part}: {why}"),
            other => panic!("{part}: {other:?}"),
        }
    }
    let title = Edit { title: Some("Other?".to_owned()), ..Edit::default() };
    done(edit(store, &poll, title.clone()).await);
    assert!(matches!(edit(store, &poll, title).await, Err(StoreError::Conflict(_))));
}

/// A draft is deleted with all that belongs to it; its number isn't given to the next poll.
pub async fn only_a_draft_is_deleted(store: &dyn Store) {
    let (open, draft) = (create(store, "open").await, draft(store, "draft").await);
    let rejected = store.delete_poll(open.id, open.version, &Author::THRONG).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    let name: BatchName = "first".parse().expect("a valid name");
    let batch = done(store.begin_code_batch(draft.id, &name, OPENS_AT, &Author::THRONG).await);
    done(store.add_codes(draft.id, batch.number, &[VoterKey([7; 15])]).await);
    let before = done(store.polls_version().await);
    let stale = store.delete_poll(draft.id, draft.version + 1, &Author::THRONG).await;
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "{stale:?}");
    done(store.delete_poll(draft.id, draft.version, &Author::THRONG).await);
    assert_eq!(done(store.polls().await), std::slice::from_ref(&open));
    assert!(done(store.polls_version().await) > before);
    let again = store.delete_poll(draft.id, draft.version, &Author::THRONG).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let next = create(store, "draft").await;
    assert!(next.id > draft.id, "{next:?} {draft:?}");
    assert_eq!(done(store.valid_codes(next.id, &[VoterKey([7; 15])]).await), []);
    assert_eq!(done(store.code_batches(next.id).await), []);
}

/// A final poll is archived, and isn't opened again before it is taken back.
pub async fn a_final_poll_is_archived(store: &dyn Store) {
    let change = async |poll: &Poll, change| store.change_poll(poll.id, poll.version, change, &Author::THRONG).await;
    let poll = create(store, "poll").await;
    let rejected = change(&poll, PollChange::Archive(true)).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    let closed = closed(store, &poll).await;
    assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Final).await), 1);
    let last = done(store.poll(&poll.slug).await).expect("it is there");
    let archived = done(change(&last, PollChange::Archive(true)).await);
    assert!(archived.archived_at.is_some() && archived.final_at == last.final_at, "{archived:?}");
    assert_eq!(done(store.poll(&poll.slug).await).as_ref(), Some(&archived));
    let window = PollChange::Window(Window { opens_at: Some(OPENS_AT), closes_at: None });
    assert!(matches!(change(&archived, window.clone()).await, Err(StoreError::Rejected(_))));
    let back = done(change(&archived, PollChange::Archive(false)).await);
    assert_eq!(back.archived_at, None);
    done(change(&back, window).await);
}

/// Each change is noted with its author, reason and values, also of a poll that is deleted; a change that wasn't made isn't.
pub async fn changes_are_noted(store: &dyn Store) {
    let editor = Author::new("Zoë", "a typing error: \u{1f3b6}");
    let poll = draft(store, "poll").await;
    create(store, "other").await;
    let title = PollChange::Edit(Edit { title: Some("Other?".to_owned()), ..Edit::default() });
    let edited = done(store.change_poll(poll.id, poll.version, title.clone(), &editor).await);
    store.change_poll(poll.id, poll.version, title, &editor).await.expect_err("another version");
    done(store.delete_poll(edited.id, edited.version, &editor).await);

    let log = done(store.audit_log(Some(&poll.slug), None, 10).await);
    let actions: Vec<_> = log.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [Action::Delete, Action::Edit, Action::Create]);
    let [_, edit, create] = &log[..] else { panic!("{log:?}") };
    assert_eq!((edit.author.as_str(), edit.reason.as_str()), ("Zoë", "a typing error: \u{1f3b6}"));
    assert_eq!(edit.changes, serde_json::json!({"title": {"from": poll.title, "to": "Other?"}}));
    assert_eq!((create.author.as_str(), &create.changes["slug"]), ("throng", &"poll".into()));
    assert!(edit.at > Timestamp(1_700_000_000_000), "{:?}", edit.at);

    let all = done(store.audit_log(None, None, 10).await);
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by(|a, b| a.number > b.number));
    assert_eq!(done(store.audit_log(None, Some(all[1].number), 1).await), &all[2..3]);
    assert_eq!(done(store.audit_log(Some(&"none".parse().expect("a slug")), None, 10).await), []);
}
