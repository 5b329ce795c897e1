//! The polls as this process serves them, each with its latest result.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::store::{Store, StoreError};
use throng_domain::tally::Tallies;

use super::snapshot::{Rendered, SharedSnapshot, Snapshot};
use crate::view::ResultsView;

/// A poll and its latest result.
#[derive(Debug)]
pub struct LivePoll {
    /// The poll as it was last read.
    pub poll: Poll,
    latest: Arc<ArcSwap<Snapshot>>,
    rendered: ArcSwapOption<Rendered>,
}

impl LivePoll {
    /// The latest result.
    pub fn latest(&self) -> SharedSnapshot {
        self.latest.load_full()
    }

    /// The latest result in the form of version 1: made once a version, then shared.
    pub fn rendered(&self, now: Timestamp) -> Arc<Rendered> {
        let snapshot = self.latest.load();
        let state = self.poll.state(now);
        if let Some(kept) = &*self.rendered.load()
            && (kept.seq, kept.state) == (snapshot.tallies.seq, state)
        {
            return Arc::clone(kept);
        }
        let view = ResultsView::new(&self.poll, &snapshot, now);
        let json = serde_json::to_vec(&view).expect("a result has only strings for keys").into();
        // The version counts ballots' changes; a close or a corrected label changes what is sent as well.
        let etag = format!("\"{}-{}-{}\"", snapshot.tallies.seq, self.poll.version, state.as_str());
        let made = Arc::new(Rendered { seq: snapshot.tallies.seq, state, json, etag });
        self.rendered.store(Some(Arc::clone(&made)));
        made
    }

    /// Makes `snapshot` the latest result, unless a later one is there.
    fn publish(&self, snapshot: SharedSnapshot) {
        self.latest.rcu(|latest| {
            let newer = snapshot.tallies.seq > latest.tallies.seq;
            Arc::clone(if newer { &snapshot } else { latest })
        });
    }
}

impl Polls {
    /// The poll of the original routes and of `/`.
    pub fn default_poll(&self) -> Option<&Arc<LivePoll>> {
        self.default.as_ref()
    }

    /// The poll of this name.
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<LivePoll>> {
        self.by_slug.get(slug)
    }
}

/// Every poll that this process serves.
#[derive(Debug)]
pub struct LivePolls {
    default_slug: Slug,
    polls: ArcSwap<Polls>,
}

/// The polls as they were last read.
#[derive(Debug, Default)]
pub struct Polls {
    version: u64,
    default: Option<Arc<LivePoll>>,
    by_slug: HashMap<String, Arc<LivePoll>>,
    by_id: HashMap<PollId, Arc<LivePoll>>,
}

impl LivePolls {
    /// The polls of `store`, with their results; `default_slug` names the default poll, now or once it is made.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(default_slug: Slug, store: &dyn Store, clock: &dyn Clock) -> Result<Self, StoreError> {
        let polls = Self { default_slug, polls: ArcSwap::default() };
        polls.refresh(store, clock).await?;
        Ok(polls)
    }

    /// Takes in what was created or changed, here or by another process, since the last time.
    ///
    /// # Errors
    /// Those of the store; what was known stays.
    pub async fn refresh(&self, store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
        let version = store.polls_version().await?;
        let known = self.polls.load_full();
        if version == known.version {
            return Ok(());
        }
        let mut polls = Polls { version, ..Polls::default() };
        for poll in store.polls().await? {
            let latest = match known.by_id.get(&poll.id) {
                Some(live) => Arc::clone(&live.latest),
                None => {
                    let tallies = store.tallies(poll.id).await?;
                    Arc::new(ArcSwap::from_pointee(Snapshot::new(tallies, clock.now())))
                }
            };
            let live = Arc::new(LivePoll { poll, latest, rendered: ArcSwapOption::empty() });
            polls.by_slug.insert(live.poll.slug.to_string(), Arc::clone(&live));
            polls.by_id.insert(live.poll.id, live);
        }
        polls.default = polls.by_slug.get(self.default_slug.as_str()).cloned();
        self.polls.store(Arc::new(polls));
        Ok(())
    }

    /// The polls as they were last read: a view that costs nothing to take, not to be held for long.
    pub fn current(&self) -> Guard<Arc<Polls>> {
        self.polls.load()
    }

    /// Makes the tallies of a commit the poll's latest result, and returns that.
    pub fn publish(&self, tallies: Tallies, now: Timestamp) -> SharedSnapshot {
        let polls = self.polls.load();
        let live = polls.by_id.get(&tallies.poll);
        let snapshot = match live {
            Some(live) if live.latest.load().tallies == tallies => return live.latest(),
            _ => Arc::new(Snapshot::new(tallies, now)),
        };
        if let Some(live) = live {
            live.publish(Arc::clone(&snapshot));
        }
        snapshot
    }
}
