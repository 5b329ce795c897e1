//! Counts that were taken over from an earlier system.

use super::support::{OPENS_AT, ballot, counts, create, done, record, tallies};
use crate::audit::{Action, Author};
use crate::poll::{OptionId, PercentBase, Poll};
use crate::poll_change::{Edit, PollChange};
use crate::store::{Store, StoreError};
use crate::void::VoidRule;

async fn change(store: &dyn Store, poll: &Poll, change: PollChange) -> Result<Poll, StoreError> {
    let stored = done(store.poll(&poll.slug).await).expect("it is there");
    store.change_poll(stored.id, stored.version, change, &Author::THRONG).await
}

/// Counts without ballots are part of the result and of a recount, are replaced by later ones, and have no voters.
pub async fn imported_counts_are_part_of_the_result(store: &dyn Store) {
    let poll = create(store, "poll").await;
    record(store, &[ballot(&poll, 1, &[1, 2])]).await;
    let before = tallies(store, &poll).await;
    let import = |votes: &[(u16, u64)]| {
        PollChange::Import(votes.iter().map(|(option, count)| (OptionId(*option), *count)).collect())
    };
    let imported = done(change(store, &poll, import(&[(5, 7), (1, 3_000_000_000), (3, 0)])).await);
    assert_eq!(imported.imported, [(OptionId(1), 3_000_000_000), (OptionId(5), 7)]);
    assert_eq!(imported.percent_base, PercentBase::Selections);
    assert_eq!(done(store.poll(&poll.slug).await), Some(imported));
    let after = tallies(store, &poll).await;
    assert_eq!((counts(&after), after.voters), (vec![3_000_000_001, 1, 0, 0, 7], 1));
    assert!(after.seq > before.seq);
    record(store, &[ballot(&poll, 2, &[1])]).await;

    done(change(store, &poll, import(&[(1, 10), (5, 9)])).await);
    assert_eq!(counts(&tallies(store, &poll).await), [12, 1, 0, 0, 9]);
    // They aren't ballots, so no rule makes them void.
    let rule = VoidRule { from: Some(OPENS_AT), ..VoidRule::default() };
    done(change(store, &poll, PollChange::Void(rule)).await);
    let recount = done(store.recount(poll.id).await);
    assert_eq!((counts(&recount.ballots), recount.voided.all), (vec![10, 0, 0, 0, 9], 2));

    let unknown = change(store, &poll, import(&[(6, 1)])).await;
    assert!(matches!(unknown, Err(StoreError::Rejected(_))), "{unknown:?}");
    let voters = Edit { percent_base: Some(PercentBase::Voters), ..Edit::default() };
    let rejected = change(store, &poll, PollChange::Edit(voters)).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    let log = done(store.audit_log(Some(&poll.slug), None, 2).await);
    assert_eq!(log.iter().map(|entry| entry.action).collect::<Vec<_>>(), [Action::Void, Action::Import]);
}
