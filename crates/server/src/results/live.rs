//! A poll and its latest result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;
use throng_domain::store::StoreError;
use throng_domain::tally::Tallies;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::snapshot::{Rendered, SharedSnapshot, Snapshot};
use super::source::ResultSource;
use super::tabulation::{Needed, Tabulation, Tabulator};
use crate::view::{ResultsView, Tabulated};

/// A poll and its latest result.
#[derive(Debug)]
pub struct LivePoll {
    /// The poll when it was last read.
    pub poll: Poll,
    latest: Arc<Latest>,
    rendered: ArcSwapOption<Rendered>,
    rendered_tabulation: ArcSwapOption<Rendered>,
}

/// A poll's latest result, which is kept across changes of the poll.
#[derive(Debug)]
struct Latest {
    snapshot: ArcSwap<Snapshot>,
    /// Whether a reader has requested a refresh.
    refresh_wanted: AtomicBool,
    /// Notified after each refresh, whether it succeeded or not.
    refreshed: Notify,
    /// Whether anybody has asked for the poll.
    used: AtomicBool,
    tabulator: Tabulator,
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
    ///
    /// In ranked and score polls it has no more than the options' counts: see [`Self::rendered_tabulation`].
    pub fn rendered(&self, now: Timestamp, age_max_ms: Option<i64>) -> Arc<Rendered> {
        let snapshot = self.latest.snapshot.load();
        self.render(&self.rendered, (&snapshot.tallies, snapshot.as_of, None), now, age_max_ms)
    }

    /// The latest result with what was tabulated of it, if it was: all as of one version, which may be an earlier one than
    /// [`Self::latest`].
    pub fn rendered_tabulation(&self, now: Timestamp, age_max_ms: Option<i64>) -> Option<Arc<Rendered>> {
        let tabulation = self.latest.tabulator.latest()?;
        let Tabulation { tallies, as_of, tabulated, .. } = &*tabulation;
        Some(self.render(&self.rendered_tabulation, (tallies, *as_of, tabulated.as_ref().as_ref()), now, age_max_ms))
    }

    /// Tabulates the latest result, unless that was done; `age_max_ms` is the age from which on the database may have a later one. While
    /// it is being tabulated, or would be too often, an earlier one stays.
    ///
    /// # Errors
    /// Those of the store, if nothing was tabulated before, or the result is final.
    pub async fn tabulate(&self, source: &ResultSource, age_max_ms: Option<i64>) -> Result<(), StoreError> {
        let is_final = self.poll.final_at.is_some();
        let needed = Needed {
            version: self.poll.version,
            seq: self.latest.snapshot.load().tallies.seq,
            // A final result changes with its poll only.
            as_of: age_max_ms.filter(|_| !is_final).map(|age_max_ms| source.clock.now().plus_ms(-age_max_ms)),
            exactly: is_final,
        };
        if let Some(made) = self.latest.tabulator.tabulate(&self.poll, source, needed).await? {
            self.publish(&Arc::new(self.with(made.tallies.clone(), made.as_of)));
        }
        Ok(())
    }

    fn render(
        &self,
        rendered: &ArcSwapOption<Rendered>,
        (tallies, as_of, tabulated): (&Tallies, Timestamp, Option<&Tabulated>),
        now: Timestamp,
        age_max_ms: Option<i64>,
    ) -> Arc<Rendered> {
        let state = self.poll.state(now);
        let stale = age_max_ms.is_some_and(|age_max_ms| is_older_than(as_of, age_max_ms, now));
        let kind = (tallies.seq, as_of, state, stale);
        if let Some(current) = &*rendered.load()
            && current.kind == kind
        {
            return Arc::clone(current);
        }
        let view = ResultsView::new(&self.poll, tallies, as_of, now, stale).with(tabulated);
        let json = serde_json::to_vec(&view).expect("a result has only strings for keys").into();
        // The version counts changes of the tallies; a close, a corrected label or staleness changes the response too. The tag is
        // weak, since `as_of` changes while everything else stays the same.
        let suffix = if stale { "-stale" } else { "" };
        let etag = format!("W/\"{}-{}-{}{suffix}\"", tallies.seq, self.poll.version, state.as_str());
        let current = Arc::new(Rendered { kind, json, etag });
        rendered.store(Some(Arc::clone(&current)));
        current
    }

    /// `poll` with its latest result; `known` is the poll before it changed.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn read(poll: Poll, known: Option<&Arc<Self>>, source: &ResultSource) -> Result<Self, StoreError> {
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
                Arc::new(Latest {
                    snapshot,
                    refresh_wanted: AtomicBool::new(false),
                    refreshed: Notify::new(),
                    used: AtomicBool::new(false),
                    tabulator: Tabulator::default(),
                })
            }
        };
        let (rendered, rendered_tabulation) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Ok(Self { poll, latest, rendered, rendered_tabulation })
    }

    /// This poll, for somebody who has asked for it.
    pub(super) fn used(self: &Arc<Self>) -> Arc<Self> {
        if !self.is_used() {
            self.latest.used.store(true, Ordering::Relaxed);
        }
        Arc::clone(self)
    }

    /// Whether anybody has asked for it.
    pub(super) fn is_used(&self) -> bool {
        self.latest.used.load(Ordering::Relaxed)
    }

    /// The latest result with these tallies, if they are later.
    pub(super) fn with(&self, tallies: Tallies, as_of: Timestamp) -> Snapshot {
        self.latest.snapshot.load().with(tallies, as_of)
    }

    /// Requests a refresh of the result; completes after it.
    pub(super) fn want_refresh(&self) -> Notified<'_> {
        let refreshed = self.latest.refreshed.notified();
        self.latest.refresh_wanted.store(true, Ordering::Release);
        refreshed
    }

    /// Whether a refresh was requested since this was last called.
    pub(super) fn take_refresh_wanted(&self) -> bool {
        self.latest.refresh_wanted.swap(false, Ordering::AcqRel)
    }

    /// Tells those who requested it that the result was refreshed, or couldn't be.
    pub(super) fn notify_refreshed(&self) {
        self.latest.refreshed.notify_waiters();
    }

    /// Makes `snapshot` the latest result, unless a later one is known.
    pub(super) fn publish(&self, snapshot: &SharedSnapshot) {
        self.latest.snapshot.rcu(|latest| Arc::clone(if snapshot.is_newer_than(latest) { snapshot } else { latest }));
    }
}

fn is_older_than(as_of: Timestamp, age_max_ms: i64, now: Timestamp) -> bool {
    as_of.plus_ms(age_max_ms) < now || now.plus_ms(age_max_ms) < as_of
}

/// Whether the result may have changed with the poll, without any ballot: unless nothing but its window did. Where nothing at all did,
/// its tallies were repaired.
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
    let unchanged = Poll { version: after.version, ..before.clone() } == *after;
    unchanged || without_window(before) != without_window(after)
}
