//! The polls as this process serves them, each with its latest result.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::store::StoreError;
use throng_domain::tally::Tallies;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::origin::Origin;
use super::snapshot::{Rendered, SharedSnapshot, Snapshot};
use crate::log_rate_limiter::LogRateLimiter;
use crate::view::ResultsView;

/// How long a reader waits for a result that is asked for anew, before the one that is known has to do.
const RENEW_MAX: Duration = Duration::from_secs(1);

/// How long the store is left alone that didn't answer.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A poll and its latest result.
#[derive(Debug)]
pub struct LivePoll {
    /// The poll as it was last read.
    pub poll: Poll,
    latest: Arc<Latest>,
    rendered: ArcSwapOption<Rendered>,
}

/// A poll's latest result: it outlives changes of the poll.
#[derive(Debug)]
struct Latest {
    snapshot: ArcSwap<Snapshot>,
    /// Somebody read it when it wasn't known any more to be the latest.
    wanted: AtomicBool,
    /// Rung each time it was asked for anew, whether there was an answer or not.
    asked: Notify,
}

impl LivePoll {
    /// The latest result.
    pub fn latest(&self) -> SharedSnapshot {
        self.latest.snapshot.load_full()
    }

    /// Whether the latest result may be older than `age_max_ms` at `now`. One from further in the future than that is of a
    /// clock that was set back since, and tells nothing.
    pub fn is_older_than(&self, age_max_ms: i64, now: Timestamp) -> bool {
        is_older_than(self.latest.snapshot.load().as_of, age_max_ms, now)
    }

    /// The latest result in the form of version 1: made once a version, then shared. It is called stale if it may be
    /// older than `age_max_ms`; a result that is exact has no such age.
    pub fn rendered(&self, now: Timestamp, age_max_ms: Option<i64>) -> Arc<Rendered> {
        let snapshot = self.latest.snapshot.load();
        let state = self.poll.state(now);
        let stale = age_max_ms.is_some_and(|age_max_ms| is_older_than(snapshot.as_of, age_max_ms, now));
        let kind = (snapshot.tallies.seq, snapshot.as_of, state, stale);
        if let Some(kept) = &*self.rendered.load()
            && kept.kind == kind
        {
            return Arc::clone(kept);
        }
        let view = ResultsView::new(&self.poll, &snapshot, now, stale);
        let json = serde_json::to_vec(&view).expect("a result has only strings for keys").into();
        // The version counts ballots' changes; a close, a corrected label or doubt changes what is sent as well. It is a weak
        // tag: `as_of` goes on while all else stays.
        let doubt = if stale { "-stale" } else { "" };
        let etag = format!("W/\"{}-{}-{}{doubt}\"", snapshot.tallies.seq, self.poll.version, state.as_str());
        let made = Arc::new(Rendered { kind, json, etag });
        self.rendered.store(Some(Arc::clone(&made)));
        made
    }

    /// Makes `snapshot` the latest result, unless a later one is there.
    fn publish(&self, snapshot: &SharedSnapshot) {
        self.latest.snapshot.rcu(|latest| Arc::clone(if snapshot.is_newer_than(latest) { snapshot } else { latest }));
    }
}

fn is_older_than(as_of: Timestamp, age_max_ms: i64, now: Timestamp) -> bool {
    as_of.plus_ms(age_max_ms) < now || now.plus_ms(age_max_ms) < as_of
}

impl Polls {
    /// The poll of the original routes and of `/`, if it is there and no draft.
    pub fn default_poll(&self) -> Option<&Arc<LivePoll>> {
        self.default.as_ref()
    }

    /// The polls that close, or have closed, and aren't known to be final.
    pub fn ending(&self) -> impl Iterator<Item = &LivePoll> {
        self.ending.iter().map(|live| &**live)
    }

    /// The poll of this name, if it is there and no draft.
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<LivePoll>> {
        self.by_slug.get(slug)
    }
}

/// Every poll that this process serves.
#[derive(Debug)]
pub struct LivePolls {
    default_slug: Slug,
    polls: ArcSwap<Polls>,
    /// Rung when a result is wanted.
    bell: Notify,
    /// The store didn't answer when it was last asked for a result.
    is_failing: AtomicBool,
}

/// The polls as they were last read.
#[derive(Debug, Default)]
pub struct Polls {
    version: u64,
    default: Option<Arc<LivePoll>>,
    by_slug: HashMap<String, Arc<LivePoll>>,
    by_id: HashMap<PollId, Arc<LivePoll>>,
    /// Those that close and aren't final.
    ending: Vec<Arc<LivePoll>>,
}

impl LivePolls {
    /// The polls of `origin`, with their results; `default_slug` names the default poll, now or once it is made.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(default_slug: Slug, origin: &Origin) -> Result<Self, StoreError> {
        let polls =
            Self { default_slug, polls: ArcSwap::default(), bell: Notify::new(), is_failing: AtomicBool::new(false) };
        polls.refresh(origin).await?;
        Ok(polls)
    }

    /// Takes in what was created or changed, here or by another process, since the last time.
    ///
    /// # Errors
    /// Those of the store; what was known stays.
    pub async fn refresh(&self, origin: &Origin) -> Result<(), StoreError> {
        let version = origin.store.polls_version().await?;
        let known = self.polls.load_full();
        if version == known.version {
            return Ok(());
        }
        let mut polls = Polls { version, ..Polls::default() };
        for poll in origin.store.polls().await? {
            let is_final = poll.final_at.is_some();
            let latest = match known.by_id.get(&poll.id) {
                Some(live) => {
                    if is_final && live.poll.final_at.is_none() {
                        // What others counted last may not have been heard of yet.
                        let last = origin.ask(poll.id).await?;
                        live.publish(&Arc::new(Snapshot::new(last.tallies, last.as_of)));
                    }
                    Arc::clone(&live.latest)
                }
                None => {
                    let latest = if is_final { origin.ask(poll.id).await? } else { origin.latest(poll.id).await? };
                    let snapshot = ArcSwap::from_pointee(Snapshot::new(latest.tallies, latest.as_of));
                    Arc::new(Latest { snapshot, wanted: AtomicBool::new(false), asked: Notify::new() })
                }
            };
            let live = Arc::new(LivePoll { poll, latest, rendered: ArcSwapOption::empty() });
            if live.poll.closes_at.is_some() && live.poll.final_at.is_none() {
                polls.ending.push(Arc::clone(&live));
            }
            // What is asked is nobody's business before it is opened: a draft is as absent to the public as a poll never made.
            if !live.poll.is_draft() {
                polls.by_slug.insert(live.poll.slug.to_string(), Arc::clone(&live));
            }
            polls.by_id.insert(live.poll.id, live);
        }
        polls.default = polls.by_slug.get(self.default_slug.as_str()).cloned();
        self.polls.store(Arc::new(polls));
        Ok(())
    }

    /// Has a poll's result asked for anew, once for all who want it now, and waits for a moment until it is there. Where the
    /// store doesn't answer nobody waits.
    pub async fn renew(&self, live: &LivePoll) {
        let asked = live.latest.asked.notified();
        live.latest.wanted.store(true, Ordering::Release);
        self.bell.notify_one();
        if !self.is_failing.load(Ordering::Relaxed) {
            let _ = timeout(RENEW_MAX, asked).await;
        }
    }

    /// Asks for the results that are wanted, for as long as it is polled.
    pub async fn keep_renewing(&self, origin: &Origin) -> Infallible {
        let log_limiter = LogRateLimiter::new(1);
        loop {
            self.bell.notified().await;
            let renewed = self.renew_wanted(origin).await;
            self.is_failing.store(renewed.is_err(), Ordering::Relaxed);
            if let Err(error) = renewed {
                if let Some(unlogged) = log_limiter.take(origin.clock.now()) {
                    warn!(%error, unlogged, "results can't be read; those known are shown on");
                }
                sleep(AFTER_FAILURE).await;
            }
        }
    }

    async fn renew_wanted(&self, origin: &Origin) -> Result<(), StoreError> {
        let polls = self.polls.load_full();
        // Whoever wants it from here on may want a later one.
        for live in polls.by_id.values().filter(|live| live.latest.wanted.swap(false, Ordering::AcqRel)) {
            let read = self.read_through(live.poll.id, origin).await;
            live.latest.asked.notify_waiters();
            read?;
        }
        Ok(())
    }

    /// Asks anew for a poll's result, and makes it the latest if it is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read_through(&self, poll: PollId, origin: &Origin) -> Result<(), StoreError> {
        let latest = origin.latest(poll).await?;
        self.publish(latest.tallies, latest.as_of);
        Ok(())
    }

    /// The polls as they were last read: a view that costs nothing to take, not to be held for long.
    pub fn current(&self) -> Guard<Arc<Polls>> {
        self.polls.load()
    }

    /// The latest result of a poll, if there is one of this number.
    pub fn latest(&self, poll: PollId) -> Option<SharedSnapshot> {
        self.polls.load().by_id.get(&poll).map(|live| live.latest())
    }

    /// Makes these tallies, which were the last ones at `as_of`, the poll's latest result; returns them as a snapshot,
    /// or the one that counts the same and is there already.
    pub fn publish(&self, tallies: Tallies, as_of: Timestamp) -> SharedSnapshot {
        let polls = self.polls.load();
        let live = polls.by_id.get(&tallies.poll);
        let snapshot = Arc::new(match live {
            Some(live) => live.latest.snapshot.load().with(tallies, as_of),
            None => Snapshot::new(tallies, as_of),
        });
        if let Some(live) = live {
            live.publish(&snapshot);
        }
        snapshot
    }
}
