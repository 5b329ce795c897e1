//! The polls that this process serves: an index of all, and with their results those that are used.
//!
//! There may be 100,000 polls, of which a crowd votes in one. A poll is read when it is first asked for, and then kept. The latest
//! ones are read before that, so that they can be voted in while the store is unavailable; one that nobody has asked for makes room for
//! a later one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::store::{PollEntry, StoreError};
use throng_domain::tally::Tallies;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::index::{Ending, PollIndex};
use super::live::LivePoll;
use super::snapshot::{SharedSnapshot, Snapshot};
use super::source::ResultSource;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// How long a reader waits for a result to be refreshed before it uses the known one.
const REFRESH_MAX: Duration = Duration::from_secs(1);

/// The most polls that are read at once.
const READ_MAX: usize = 1_000;

/// How many polls are kept that were read before anybody asked for them.
const READ_EARLY_MAX: usize = 500;

/// How long polls are read that nobody has asked for yet, before the next look for changed ones.
const READ_EARLY_TIME_MAX: Duration = Duration::from_millis(300);

/// The most polls that are read at the same time because somebody has asked for them.
const FIRST_READS_MAX: usize = 4;

/// The most attempts at such a read, while the poll is being changed.
const FIRST_READ_TRIES_MAX: usize = 5;

/// The pause after a failed query of the store.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// Every poll that this process serves.
#[derive(Debug)]
pub struct LivePolls {
    default_slug: Slug,
    index: Mutex<PollIndex>,
    polls: ArcSwap<Polls>,
    /// Held while the index or the polls are changed, so that those of an earlier version don't replace later ones.
    reading: tokio::sync::Mutex<()>,
    /// Permits to read a poll that somebody has asked for.
    first_reads: Semaphore,
    /// Notified when a result is to be refreshed.
    refresh_requested: Notify,
    /// Whether the last query of the store for a result failed.
    is_failing: AtomicBool,
}

/// The polls that were read, when they were last read.
#[derive(Clone, Debug, Default)]
pub struct Polls {
    default: Option<Arc<LivePoll>>,
    by_slug: HashMap<Arc<str>, Arc<LivePoll>>,
    by_id: HashMap<PollId, Arc<LivePoll>>,
    /// Those that were read before anybody asked for them, in this order.
    early: VecDeque<PollId>,
}

impl Polls {
    /// The poll of the compatibility routes and of `/`, if it exists and is neither a draft nor a rehearsal.
    pub fn default_poll(&self) -> Option<&Arc<LivePoll>> {
        self.default.as_ref()
    }

    /// The poll with this id, which may be a draft, if it was read.
    pub fn by_id(&self, poll: PollId) -> Option<&Arc<LivePoll>> {
        self.by_id.get(&poll)
    }

    /// The poll with this slug, if it was read and is not a draft.
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<LivePoll>> {
        self.by_slug.get(slug)
    }

    fn insert(&mut self, live: Arc<LivePoll>, default_slug: &Slug) {
        self.remove(live.poll.id);
        if !live.poll.is_draft() {
            self.by_slug.insert(live.poll.slug.as_str().into(), Arc::clone(&live));
            if live.poll.slug == *default_slug && !live.poll.rehearsal {
                self.default = Some(Arc::clone(&live));
            }
        }
        self.by_id.insert(live.poll.id, live);
    }

    /// The same for a poll that nobody has asked for yet.
    fn insert_early(&mut self, live: Arc<LivePoll>, default_slug: &Slug) {
        if !self.by_id.contains_key(&live.poll.id) {
            self.early.push_back(live.poll.id);
        }
        self.insert(live, default_slug);
        while self.early.len() > READ_EARLY_MAX {
            let Some(oldest) = self.early.pop_front() else { break };
            let is_default = self.default.as_ref().is_some_and(|default| default.poll.id == oldest);
            if !is_default && self.by_id.get(&oldest).is_some_and(|live| !live.is_used()) {
                self.remove(oldest);
            }
        }
    }

    fn remove(&mut self, poll: PollId) {
        if self.default.as_ref().is_some_and(|default| default.poll.id == poll) {
            self.default = None;
        }
        if let Some(before) = self.by_id.remove(&poll) {
            self.by_slug.remove(before.poll.slug.as_str());
        }
    }
}

impl LivePolls {
    /// Loads the polls of `source`, the latest with their results; `default_slug` is the default poll, which may be created later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(default_slug: Slug, source: &ResultSource) -> Result<Self, StoreError> {
        let polls = Self {
            default_slug,
            index: Mutex::default(),
            polls: ArcSwap::default(),
            reading: tokio::sync::Mutex::default(),
            first_reads: Semaphore::new(FIRST_READS_MAX),
            refresh_requested: Notify::new(),
            is_failing: AtomicBool::new(false),
        };
        polls.reload(source).await?;
        Ok(polls)
    }

    /// Reads the polls that were created or changed, here or by another process, since the last time, as far as they are used.
    ///
    /// # Errors
    /// Those of the store; the known polls stay unchanged.
    pub async fn reload(&self, source: &ResultSource) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        let version = source.store.polls_version().await?;
        let known = self.index().version();
        if known == Some(version) {
            return Ok(());
        }
        // A number that went down is of another database: one from a backup, or a replica that took over.
        let is_same_database = known.is_some_and(|known| known < version);
        let mut entries = source.store.poll_entries(known.filter(|_| is_same_database).unwrap_or_default()).await?;
        let is_whole = !self.index().is_completed_by(&entries, version);
        if is_whole && is_same_database {
            entries = source.store.poll_entries(0).await?;
        }
        let (wanted, early) = self.to_read(&entries, is_same_database);
        let deleted = if is_whole { self.missing_in(&entries) } else { Vec::new() };
        let read = self.read(&wanted, source).await?;
        self.change(|polls| {
            deleted.into_iter().for_each(|poll| polls.remove(poll));
            read.into_iter().for_each(|live| polls.insert_early(live, &self.default_slug));
        });
        self.update_index(entries, version, is_whole);
        // Many new polls must not delay the next look, which may find that one has closed.
        let until = known.map(|_| Instant::now() + READ_EARLY_TIME_MAX);
        self.read_early(&early, until, source).await
    }

    fn update_index(&self, entries: Vec<PollEntry>, version: u64, is_whole: bool) {
        let mut index = self.index();
        if is_whole { index.replace(entries, version) } else { index.update(entries, version) }
    }

    /// Reads polls that nobody has asked for, as long as there is time; the others are read when somebody does.
    async fn read_early(
        &self,
        early: &[PollId],
        until: Option<Instant>,
        source: &ResultSource,
    ) -> Result<(), StoreError> {
        for poll in early {
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let read = self.read(&[*poll], source).await?;
            self.change(|polls| read.into_iter().for_each(|live| polls.insert_early(live, &self.default_slug)));
        }
        Ok(())
    }

    /// Which of the polls in these entries are read now: those that were read and have another version, and the default poll; and, if there is
    /// time, the latest of the others that may be voted in, if they are new here. In order of creation.
    fn to_read(&self, entries: &[PollEntry], is_same_database: bool) -> (Vec<PollId>, Vec<PollId>) {
        let (polls, index) = (self.polls.load(), self.index());
        let (mut wanted, mut early) = (Vec::new(), Vec::new());
        for entry in entries.iter().rev() {
            let read = polls.by_id(entry.id);
            let is_current = is_same_database && read.is_some_and(|live| live.poll.version == entry.version);
            let is_new = index.version_of(entry.id).is_none() || index.id(entry.slug.as_str()) != Some(entry.id);
            let may_be_voted_in = !entry.is_final && !entry.is_archived;
            if !is_current && (read.is_some() || entry.slug == self.default_slug) {
                wanted.push(entry.id);
            } else if read.is_none() && is_new && may_be_voted_in && early.len() < READ_EARLY_MAX {
                early.push(entry.id);
            }
        }
        wanted.reverse();
        early.reverse();
        (wanted, early)
    }

    /// The polls that were read and aren't in these entries of all polls.
    fn missing_in(&self, entries: &[PollEntry]) -> Vec<PollId> {
        let existing: HashSet<_> = entries.iter().map(|entry| entry.id).collect();
        self.polls.load().by_id.keys().filter(|id| !existing.contains(id)).copied().collect()
    }

    async fn read(&self, wanted: &[PollId], source: &ResultSource) -> Result<Vec<Arc<LivePoll>>, StoreError> {
        let known = self.polls.load_full();
        let mut read = Vec::new();
        for ids in wanted.chunks(READ_MAX) {
            for poll in source.store.polls_by_id(ids).await? {
                let before = known.by_id(poll.id);
                read.push(Arc::new(LivePoll::read(poll, before, source).await?));
            }
        }
        Ok(read)
    }

    fn change(&self, change: impl FnOnce(&mut Polls)) {
        let mut polls = Polls::clone(&self.polls.load());
        change(&mut polls);
        self.polls.store(Arc::new(polls));
    }

    /// The poll with this slug, if it exists and is not a draft. It is read when it is first asked for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(&self, slug: &str, source: &ResultSource) -> Result<Option<Arc<LivePoll>>, StoreError> {
        if let Some(live) = self.polls.load().by_slug(slug) {
            return Ok(Some(live.used()));
        }
        // Not asked of the store, which a crowd that asks for no poll would keep busy.
        let Some(id) = self.index().id(slug) else { return Ok(None) };
        let live = self.get(id, source).await?;
        Ok(live.filter(|live| live.poll.slug.as_str() == slug && !live.poll.is_draft()))
    }

    /// The poll with this number, which may be a draft, if it exists. It is read when it is first asked for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn get(&self, poll: PollId, source: &ResultSource) -> Result<Option<Arc<LivePoll>>, StoreError> {
        let known = || self.polls.load().by_id(poll).map(|live| live.used());
        if let Some(live) = known() {
            return Ok(Some(live));
        }
        let _permit = self.first_reads.acquire().await;
        for _ in 0..FIRST_READ_TRIES_MAX {
            // Another request may have read it meanwhile.
            if let Some(live) = known() {
                return Ok(Some(live));
            }
            if self.index().version_of(poll).is_none() {
                return Ok(None);
            }
            // Without the lock: a change of another poll must not wait for it.
            let Some(live) = self.read(&[poll], source).await?.pop() else { return Ok(None) };
            let _reading = self.reading.lock().await;
            if self.index().version_of(poll).is_none_or(|version| version <= live.poll.version) && known().is_none() {
                self.change(|polls| polls.insert(Arc::clone(&live), &self.default_slug));
                return Ok(Some(live.used()));
            }
        }
        Err(StoreError::Conflict("the poll is being changed".to_owned()))
    }

    /// Polls in order of creation, drafts too: those after this number, at most `limit`, archived ones if they are wanted; and the number
    /// after which there are more. As they are stored.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn page(
        &self,
        after: PollId,
        limit: usize,
        archived: bool,
        source: &ResultSource,
    ) -> Result<(Vec<Poll>, Option<PollId>), StoreError> {
        // One more, which shows whether there are more.
        let mut ids = self.index().page(after, limit.saturating_add(1), archived);
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let mut polls = Vec::new();
        for ids in ids.chunks(READ_MAX) {
            polls.extend(source.store.polls_by_id(ids).await?);
        }
        polls.sort_unstable_by_key(|poll| poll.id);
        Ok((polls, ids.last().copied().filter(|_| has_more)))
    }

    /// The polls that have closed by `now` and aren't known to be final.
    pub fn closing(&self, now: Timestamp) -> Vec<Ending> {
        self.index().closing(now)
    }

    /// The polls of whose ends something may have to be stored at `now`.
    pub fn due(&self, now: Timestamp) -> Vec<Ending> {
        self.index().due(now)
    }

    /// The polls that open within these times, with the time, in this order.
    pub fn opening(&self, times: RangeInclusive<Timestamp>) -> Vec<(Timestamp, PollId)> {
        self.index().opening(times)
    }

    fn index(&self) -> MutexGuard<'_, PollIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests a refresh of a poll's result, once for all readers that request it at the same time, and waits for it for at
    /// most a second. If the last query of the store failed, it doesn't wait.
    pub async fn refresh_result(&self, live: &LivePoll) {
        let refreshed = live.want_refresh();
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
        for live in polls.by_id.values().filter(|live| live.take_refresh_wanted()) {
            let read = self.read_now(live.poll.id, source).await;
            live.notify_refreshed();
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

    /// The polls that were read, when they were last read. The guard is cheap to create and must not be held for long.
    pub fn current(&self) -> Guard<Arc<Polls>> {
        self.polls.load()
    }

    /// The latest result of the poll with this id, if it was read.
    pub fn latest(&self, poll: PollId) -> Option<SharedSnapshot> {
        self.polls.load().by_id(poll).map(|live| live.latest())
    }

    /// Makes these tallies, which were the latest at `as_of`, the poll's latest result unless a later one is known; returns
    /// them as a snapshot, which shares its bytes with the known one if the tallies are the same.
    pub fn publish(&self, tallies: Tallies, as_of: Timestamp) -> SharedSnapshot {
        let polls = self.polls.load();
        let live = polls.by_id(tallies.poll);
        let snapshot = Arc::new(match live {
            Some(live) => live.with(tallies, as_of),
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
    use throng_domain::clock::ManualClock;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll_change::PollChange;
    use throng_domain::store::{PollStore as _, Schema as _};
    use throng_domain::window::Window;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    async fn store() -> (tempfile::TempDir, Arc<SqliteStore>, ResultSource) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("throng.db")).unwrap());
        store.migrate().await.unwrap();
        let source = ResultSource::of_store(Arc::<SqliteStore>::clone(&store), Arc::new(ManualClock::new(NOW)));
        (directory, store, source)
    }

    async fn create(store: &SqliteStore, slug: &str) -> Poll {
        store.create_poll(NewPoll::demo(slug.parse().unwrap(), NOW), &Author::THRONG).await.unwrap()
    }

    #[tokio::test]
    async fn only_changed_polls_are_read_again() {
        let (_directory, store, source) = store().await;
        let (kept, changed) = (create(&store, "kept").await, create(&store, "changed").await);
        let polls = LivePolls::load("kept".parse().unwrap(), &source).await.unwrap();
        let before = polls.current().clone();
        let window = Window { opens_at: changed.opens_at, closes_at: Some(Timestamp(5_000)) };
        store.change_poll(changed.id, changed.version, PollChange::Window(window), &Author::THRONG).await.unwrap();
        create(&store, "new").await;
        polls.reload(&source).await.unwrap();
        let after = polls.current();
        assert!(Arc::ptr_eq(&before.by_id[&kept.id], &after.by_id[&kept.id]));
        assert_eq!(after.by_slug("changed").unwrap().poll.closes_at, Some(Timestamp(5_000)));
        assert!(after.by_slug("new").is_some() && after.default_poll().is_some());
        assert_eq!(polls.due(Timestamp(5_000)).len(), 1);
    }

    #[tokio::test]
    async fn polls_beyond_the_latest_are_read_when_they_are_used() {
        let (_directory, store, source) = store().await;
        for number in 0..READ_EARLY_MAX + 2 {
            create(&store, &format!("poll-{number}")).await;
        }
        let polls = LivePolls::load("poll-0".parse().unwrap(), &source).await.unwrap();
        assert_eq!(polls.current().by_id.len(), READ_EARLY_MAX + 1, "the latest, and the default one");
        assert!(polls.current().default_poll().is_some() && polls.current().by_slug("poll-1").is_none());
        let found = polls.find("poll-1", &source).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&found, polls.current().by_slug("poll-1").unwrap()));
        assert!(polls.find("poll-9999", &source).await.unwrap().is_none());

        create(&store, "later").await;
        polls.reload(&source).await.unwrap();
        assert!(polls.current().by_slug("later").is_some() && polls.current().by_slug("poll-2").is_none());
        assert!(
            polls.current().by_slug("poll-1").is_some() && polls.current().default_poll().is_some(),
            "they are used"
        );
        assert_eq!(polls.find("poll-2", &source).await.unwrap().unwrap().poll.slug.as_str(), "poll-2");
        let (page, next) = polls.page(found.poll.id, 2, false, &source).await.unwrap();
        assert_eq!(page.iter().map(|poll| poll.slug.as_str()).collect::<Vec<_>>(), ["poll-2", "poll-3"]);
        assert_eq!(next, Some(page[1].id));
        assert_eq!(polls.page(PollId(0), 10_000, false, &source).await.unwrap().1, None);
    }

    #[tokio::test]
    async fn deleted_draft_is_gone_and_its_slug_another_polls() {
        let (_directory, store, source) = store().await;
        let draft = NewPoll { opens_at: None, ..NewPoll::demo("song".parse().unwrap(), NOW) };
        let draft = store.create_poll(draft, &Author::THRONG).await.unwrap();
        let polls = LivePolls::load("demo".parse().unwrap(), &source).await.unwrap();
        assert!(polls.current().by_id(draft.id).is_some() && polls.find("song", &source).await.unwrap().is_none());
        store.delete_poll(draft.id, draft.version, &Author::THRONG).await.unwrap();
        let song = create(&store, "song").await;
        polls.reload(&source).await.unwrap();
        assert!(polls.current().by_id(draft.id).is_none());
        assert_eq!(polls.find("song", &source).await.unwrap().unwrap().poll.id, song.id);
    }
}
