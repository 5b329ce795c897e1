//! The polls that this process serves, each with its latest result.

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

use super::snapshot::{Rendered, SharedSnapshot, Snapshot};
use super::source::ResultSource;
use crate::telemetry::log_rate_limiter::LogRateLimiter;
use crate::view::ResultsView;

/// How long a reader waits for a result to be refreshed before it uses the known one.
const REFRESH_MAX: Duration = Duration::from_secs(1);

/// The most polls that are read at once.
const READ_MAX: usize = 1_000;

/// The pause after a failed query of the store.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A poll and its latest result.
#[derive(Debug)]
pub struct LivePoll {
    /// The poll when it was last read.
    pub poll: Poll,
    latest: Arc<Latest>,
    rendered: ArcSwapOption<Rendered>,
}

/// A poll's latest result, which is kept across changes of the poll.
#[derive(Debug)]
struct Latest {
    snapshot: ArcSwap<Snapshot>,
    /// Whether a reader has requested a refresh.
    refresh_wanted: AtomicBool,
    /// Notified after each refresh, whether it succeeded or not.
    refreshed: Notify,
}

impl LivePoll {
    /// The latest result.
    pub fn latest(&self) -> SharedSnapshot {
        self.latest.snapshot.load_full()
    }

    /// Whether the latest result may be older than `age_max_ms` at `now`. One from further in the future than that comes from a
    /// clock that was set back since, so its age is unknown.
    pub fn is_older_than(&self, age_max_ms: i64, now: Timestamp) -> bool {
        is_older_than(self.latest.snapshot.load().as_of, age_max_ms, now)
    }

    /// The latest result in the form of version 1 of the API, rendered once per version, then shared. It is marked stale if it
    /// may be older than `age_max_ms`; an exact result has no such age.
    pub fn rendered(&self, now: Timestamp, age_max_ms: Option<i64>) -> Arc<Rendered> {
        let snapshot = self.latest.snapshot.load();
        let state = self.poll.state(now);
        let stale = age_max_ms.is_some_and(|age_max_ms| is_older_than(snapshot.as_of, age_max_ms, now));
        let kind = (snapshot.tallies.seq, snapshot.as_of, state, stale);
        if let Some(current) = &*self.rendered.load()
            && current.kind == kind
        {
            return Arc::clone(current);
        }
        let view = ResultsView::new(&self.poll, &snapshot.tallies, snapshot.as_of, now, stale);
        let json = serde_json::to_vec(&view).expect("a result has only strings for keys").into();
        // The version counts changes of the tallies; a close, a corrected label or staleness changes the response too. The tag is
        // weak, since `as_of` changes while everything else stays the same.
        let suffix = if stale { "-stale" } else { "" };
        let etag = format!("W/\"{}-{}-{}{suffix}\"", snapshot.tallies.seq, self.poll.version, state.as_str());
        let rendered = Arc::new(Rendered { kind, json, etag });
        self.rendered.store(Some(Arc::clone(&rendered)));
        rendered
    }

    /// Makes `snapshot` the latest result, unless a later one is known.
    fn publish(&self, snapshot: &SharedSnapshot) {
        self.latest.snapshot.rcu(|latest| Arc::clone(if snapshot.is_newer_than(latest) { snapshot } else { latest }));
    }
}

fn is_older_than(as_of: Timestamp, age_max_ms: i64, now: Timestamp) -> bool {
    as_of.plus_ms(age_max_ms) < now || now.plus_ms(age_max_ms) < as_of
}

impl Polls {
    /// The poll of the compatibility routes and of `/`, if it exists and is not a draft.
    pub fn default_poll(&self) -> Option<&Arc<LivePoll>> {
        self.default.as_ref()
    }

    /// The polls that have a closing time, past or future, and aren't known to be final.
    pub fn ending(&self) -> impl Iterator<Item = &LivePoll> {
        self.ending.iter().map(|live| &**live)
    }

    fn version_of(&self, poll: PollId) -> Option<u64> {
        self.by_id.get(&poll).map(|live| live.poll.version)
    }

    fn add(&mut self, live: Arc<LivePoll>) {
        if live.poll.closes_at.is_some() && live.poll.final_at.is_none() {
            self.ending.push(Arc::clone(&live));
        }
        // A poll's question is private before it opens: to the public, a draft doesn't exist.
        if !live.poll.is_draft() {
            self.by_slug.insert(live.poll.slug.to_string(), Arc::clone(&live));
        }
        self.by_id.insert(live.poll.id, live);
    }

    /// Every poll, drafts and archived ones too, in any order.
    pub fn all(&self) -> impl Iterator<Item = &Poll> {
        self.by_id.values().map(|live| &live.poll)
    }

    /// The poll with this id, which may be a draft.
    pub fn by_id(&self, poll: PollId) -> Option<&Arc<LivePoll>> {
        self.by_id.get(&poll)
    }

    /// The poll with this slug, if it exists and is not a draft.
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<LivePoll>> {
        self.by_slug.get(slug)
    }
}

/// Every poll that this process serves.
#[derive(Debug)]
pub struct LivePolls {
    default_slug: Slug,
    polls: ArcSwap<Polls>,
    /// Held while they are read.
    reloading: tokio::sync::Mutex<()>,
    /// Notified when a result is to be refreshed.
    refresh_requested: Notify,
    /// Whether the last query of the store for a result failed.
    is_failing: AtomicBool,
}

/// The polls when they were last read.
#[derive(Debug, Default)]
pub struct Polls {
    version: u64,
    default: Option<Arc<LivePoll>>,
    by_slug: HashMap<String, Arc<LivePoll>>,
    by_id: HashMap<PollId, Arc<LivePoll>>,
    /// The polls that have a closing time and aren't final.
    ending: Vec<Arc<LivePoll>>,
}

/// `poll` with its latest result; `known` is the poll before it changed.
async fn live(poll: Poll, known: Option<&Arc<LivePoll>>, source: &ResultSource) -> Result<LivePoll, StoreError> {
    let is_final = poll.final_at.is_some();
    let latest = match known {
        Some(known) => {
            if is_final && known.poll.final_at.is_none() || changes_result(&known.poll, &poll) {
                // The last ballots counted by others may not have been received yet, or an edit or a void has changed the result.
                let last = source.query(poll.id).await?;
                known.publish(&Arc::new(Snapshot::new(last.tallies, last.as_of)));
            }
            Arc::clone(&known.latest)
        }
        None => {
            let latest = if is_final { source.query(poll.id).await? } else { source.latest(poll.id).await? };
            let snapshot = ArcSwap::from_pointee(Snapshot::new(latest.tallies, latest.as_of));
            Arc::new(Latest { snapshot, refresh_wanted: AtomicBool::new(false), refreshed: Notify::new() })
        }
    };
    Ok(LivePoll { poll, latest, rendered: ArcSwapOption::empty() })
}

/// Whether the result has another version with this change of the poll, without any ballot: after any but one of its window.
fn changes_result(before: &Poll, after: &Poll) -> bool {
    let without_window = |poll: &Poll| Poll {
        opens_at: None,
        closes_at: None,
        closed_at: None,
        final_at: None,
        archived_at: None,
        version: 0,
        ..poll.clone()
    };
    without_window(before) != without_window(after)
}

impl LivePolls {
    /// Loads the polls of `source`, with their results; `default_slug` is the default poll, which may be created later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(default_slug: Slug, source: &ResultSource) -> Result<Self, StoreError> {
        let polls = Self {
            default_slug,
            polls: ArcSwap::default(),
            reloading: tokio::sync::Mutex::default(),
            refresh_requested: Notify::new(),
            is_failing: AtomicBool::new(false),
        };
        polls.reload(source).await?;
        Ok(polls)
    }

    /// Reads the polls that were created or changed, here or by another process, since the last time.
    ///
    /// # Errors
    /// Those of the store; the known polls stay unchanged.
    pub async fn reload(&self, source: &ResultSource) -> Result<(), StoreError> {
        // One at a time: the polls of an earlier version must not replace those of a later one.
        let _reloading = self.reloading.lock().await;
        let version = source.store.polls_version().await?;
        let known = self.polls.load_full();
        if version == known.version {
            return Ok(());
        }
        let versions = source.store.poll_versions().await?;
        // A number that went down is of another database: one from a backup, or a replica that took over.
        let is_same_database = version > known.version;
        let is_known = |(id, version): &&(PollId, u64)| is_same_database && known.version_of(*id) == Some(*version);
        let changed: Vec<_> = versions.iter().filter(|poll| !is_known(poll)).map(|(id, _)| *id).collect();
        let mut read = HashMap::new();
        for ids in changed.chunks(READ_MAX) {
            read.extend(source.store.polls_by_id(ids).await?.into_iter().map(|poll| (poll.id, poll)));
        }
        let mut polls = Polls { version, ..Polls::default() };
        for (id, _) in versions {
            let known = known.by_id.get(&id);
            match (read.remove(&id), known) {
                (Some(poll), known) => polls.add(Arc::new(live(poll, known, source).await?)),
                (None, Some(known)) => polls.add(Arc::clone(known)),
                // Deleted meanwhile.
                (None, None) => {}
            }
        }
        polls.default = polls.by_slug.get(self.default_slug.as_str()).cloned();
        self.polls.store(Arc::new(polls));
        Ok(())
    }

    /// Requests a refresh of a poll's result, once for all readers that request it at the same time, and waits for it for at
    /// most a second. If the last query of the store failed, it doesn't wait.
    pub async fn refresh_result(&self, live: &LivePoll) {
        let refreshed = live.latest.refreshed.notified();
        live.latest.refresh_wanted.store(true, Ordering::Release);
        self.refresh_requested.notify_one();
        if !self.is_failing.load(Ordering::Relaxed) {
            let _ = timeout(REFRESH_MAX, refreshed).await;
        }
    }

    /// Refreshes requested results, for as long as it is polled.
    pub async fn keep_refreshing(&self, source: &ResultSource) -> Infallible {
        let log_limiter = LogRateLimiter::new(1);
        loop {
            self.refresh_requested.notified().await;
            let refreshed = self.refresh_all_wanted(source).await;
            self.is_failing.store(refreshed.is_err(), Ordering::Relaxed);
            if let Err(error) = refreshed {
                if let Some(unlogged) = log_limiter.take(source.clock.now()) {
                    warn!(%error, unlogged, "results can't be read; the known ones are still shown");
                }
                sleep(AFTER_FAILURE).await;
            }
        }
    }

    async fn refresh_all_wanted(&self, source: &ResultSource) -> Result<(), StoreError> {
        let polls = self.polls.load_full();
        // Cleared before the query: a reader that requests a refresh from here on may need a later result.
        for live in polls.by_id.values().filter(|live| live.latest.refresh_wanted.swap(false, Ordering::AcqRel)) {
            let read = self.read_now(live.poll.id, source).await;
            live.latest.refreshed.notify_waiters();
            read?;
        }
        Ok(())
    }

    /// Reads a poll's result again, and makes it the latest if it is later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read_now(&self, poll: PollId, source: &ResultSource) -> Result<(), StoreError> {
        let latest = source.latest(poll).await?;
        self.publish(latest.tallies, latest.as_of);
        Ok(())
    }

    /// The polls when they were last read. The guard is cheap to create and must not be held for long.
    pub fn current(&self) -> Guard<Arc<Polls>> {
        self.polls.load()
    }

    /// The latest result of the poll with this id, if there is one.
    pub fn latest(&self, poll: PollId) -> Option<SharedSnapshot> {
        self.polls.load().by_id.get(&poll).map(|live| live.latest())
    }

    /// Makes these tallies, which were the latest at `as_of`, the poll's latest result unless a later one is known; returns
    /// them as a snapshot, which shares its bytes with the known one if the tallies are the same.
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

#[cfg(test)]
mod tests {
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::clock::{Clock as _, ManualClock};
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll_change::PollChange;
    use throng_domain::store::{PollStore as _, Schema as _};
    use throng_domain::window::Window;

    use super::*;

    #[tokio::test]
    async fn only_changed_polls_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("throng.db")).unwrap());
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let create = async |slug: &str| {
            store.create_poll(NewPoll::demo(slug.parse().unwrap(), clock.now()), &Author::THRONG).await
        };
        let (kept, changed) = (create("kept").await.unwrap(), create("changed").await.unwrap());
        let source = ResultSource::of_store(store.clone(), clock.clone());
        let polls = LivePolls::load("kept".parse().unwrap(), &source).await.unwrap();
        let before = polls.current().clone();
        let window = Window { opens_at: changed.opens_at, closes_at: Some(Timestamp(5_000)) };
        store.change_poll(changed.id, changed.version, PollChange::Window(window), &Author::THRONG).await.unwrap();
        create("new").await.unwrap();
        polls.reload(&source).await.unwrap();
        let after = polls.current();
        assert!(Arc::ptr_eq(&before.by_id[&kept.id], &after.by_id[&kept.id]));
        assert_eq!(after.by_slug("changed").unwrap().poll.closes_at, Some(Timestamp(5_000)));
        assert!(after.by_slug("new").is_some() && after.default_poll().is_some());
        assert_eq!(after.ending().count(), 1);
    }
}
