//! What this process knows of every poll, also of those that nobody uses: some 200 bytes each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use throng_domain::clock::Timestamp;
use throng_domain::poll::{Mark, PollId};
use throng_domain::store::PollEntry;

/// Every poll, by slug, number and end.
#[derive(Debug, Default)]
pub(super) struct PollIndex {
    /// The version of all polls up to which the index is complete; `None` before it was read.
    version: Option<u64>,
    /// The polls that aren't drafts: to the public, a draft doesn't exist.
    by_slug: HashMap<Box<str>, PollId>,
    by_id: BTreeMap<PollId, Known>,
    /// The polls that aren't drafts, by the time at which they open.
    opening: BTreeSet<(Timestamp, PollId)>,
    /// The polls that close, and aren't final, by the time at which they do.
    ending: BTreeMap<(Timestamp, PollId), Ending>,
}

#[derive(Debug)]
struct Known {
    slug: Box<str>,
    version: u64,
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
    is_archived: bool,
}

/// The end of a poll that closes, or has closed, and isn't known to be final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The poll.
    pub id: PollId,
    /// Its version.
    pub version: u64,
    /// When it closes.
    pub closes_at: Timestamp,
    /// Whether it was stored that it has closed.
    pub is_closed: bool,
}

impl Ending {
    /// What has to be stored about the poll's end at `now`, if anything: that it has closed, then that its result is final.
    pub fn due(&self, now: Timestamp) -> Option<Mark> {
        let next = if self.is_closed { Mark::Final } else { Mark::Closed };
        (now >= self.closes_at.plus_ms(next.due_after_ms())).then_some(next)
    }
}

impl PollIndex {
    /// The version of all polls up to which the index is complete; `None` before it was read.
    pub(super) fn version(&self) -> Option<u64> {
        self.version
    }

    /// The number of the poll with this slug, unless it is a draft.
    pub(super) fn id(&self, slug: &str) -> Option<PollId> {
        self.by_slug.get(slug).copied()
    }

    /// The poll's version; `None` if there is no such poll.
    pub(super) fn version_of(&self, poll: PollId) -> Option<u64> {
        self.by_id.get(&poll).map(|known| known.version)
    }

    /// Polls in order of creation: those after this number, at most `limit`, archived ones if they are wanted.
    pub(super) fn page(&self, after: PollId, limit: usize, archived: bool) -> Vec<PollId> {
        let later = self.by_id.range(PollId(after.0.saturating_add(1))..);
        later.filter(|(_, known)| archived || !known.is_archived).map(|(id, _)| *id).take(limit).collect()
    }

    /// The polls that have closed by `now`, or were stored to have, and aren't final.
    pub(super) fn closing(&self, now: Timestamp) -> Vec<Ending> {
        let has_closed = |ending: &&Ending| ending.is_closed || ending.closes_at <= now;
        self.ending.values().filter(has_closed).copied().collect()
    }

    /// The polls of which something may have to be stored at `now`.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Ending> {
        self.ending.range(..=(now, PollId(i64::MAX))).map(|(_, ending)| *ending).collect()
    }

    /// The polls that open within these times, with the time, in this order.
    pub(super) fn opening(&self, times: RangeInclusive<Timestamp>) -> Vec<(Timestamp, PollId)> {
        let (from, until) = times.into_inner();
        self.opening.range((from, PollId(i64::MIN))..=(until, PollId(i64::MAX))).copied().collect()
    }

    /// Whether these entries are all that have changed between the index's version and `version`.
    pub(super) fn is_completed_by(&self, entries: &[PollEntry], version: u64) -> bool {
        let Some(known) = self.version.filter(|known| *known < version) else { return false };
        let changed = entries.iter().map(|entry| entry.changed);
        let changed: HashSet<_> = changed.filter(|changed| (known + 1..=version).contains(changed)).collect();
        changed.len() as u64 == version - known
    }

    /// Takes over entries that have changed.
    pub(super) fn update(&mut self, entries: Vec<PollEntry>, version: u64) {
        for entry in entries {
            self.insert(entry);
        }
        self.version = Some(version);
    }

    /// Takes over the entries of all polls.
    pub(super) fn replace(&mut self, entries: Vec<PollEntry>, version: u64) {
        *self = Self::default();
        self.update(entries, version);
    }

    fn insert(&mut self, entry: PollEntry) {
        let PollEntry { id, slug, version, opens_at, closes_at, is_closed, is_final, is_archived, .. } = entry;
        let slug: Box<str> = slug.as_str().into();
        if let Some(before) = self.by_id.remove(&id) {
            if self.id(&before.slug) == Some(id) {
                self.by_slug.remove(&before.slug);
            }
            if let Some(opened_at) = before.opens_at {
                self.opening.remove(&(opened_at, id));
            }
            if let Some(closed_at) = before.closes_at {
                self.ending.remove(&(closed_at, id));
            }
        }
        if let Some(opens_at) = opens_at {
            self.by_slug.insert(slug.clone(), id);
            self.opening.insert((opens_at, id));
        }
        if let Some(closes_at) = closes_at.filter(|_| !is_final) {
            self.ending.insert((closes_at, id), Ending { id, version, closes_at, is_closed });
        }
        self.by_id.insert(id, Known { slug, version, opens_at, closes_at, is_archived });
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::poll::CLOSING_MS;

    use super::*;

    fn entry(id: i64, changed: u64) -> PollEntry {
        PollEntry {
            id: PollId(id),
            slug: format!("poll-{id}").parse().unwrap(),
            version: 1,
            changed,
            opens_at: Some(Timestamp(id * 100)),
            closes_at: Some(Timestamp(id * 1_000)),
            is_closed: false,
            is_final: false,
            is_archived: false,
        }
    }

    fn ids(polls: &[Ending]) -> Vec<i64> {
        polls.iter().map(|ending| ending.id.0).collect()
    }

    #[test]
    fn entries_are_complete_if_every_version_has_one() {
        let mut index = PollIndex::default();
        assert!(!index.is_completed_by(&[entry(1, 1)], 1), "nothing was read yet");
        index.replace(vec![entry(1, 1), entry(2, 2)], 2);
        assert!(index.is_completed_by(&[entry(3, 3)], 3));
        assert!(index.is_completed_by(&[entry(1, 3), entry(2, 3), entry(3, 4), entry(4, 9)], 4), "4 is of later");
        assert!(!index.is_completed_by(&[entry(1, 4)], 4), "it changed twice, or another poll was deleted");
        assert!(!index.is_completed_by(&[], 1), "another database");
        assert!(!index.is_completed_by(&[entry(3, 0)], 3), "an older version made it");
    }

    #[test]
    fn changed_entry_takes_the_place_of_the_one_before() {
        let mut index = PollIndex::default();
        index.replace(vec![entry(1, 1), entry(2, 2), PollEntry { opens_at: None, ..entry(3, 3) }], 3);
        assert_eq!((index.id("poll-1"), index.id("poll-3")), (Some(PollId(1)), None));
        assert_eq!(ids(&index.due(Timestamp(2_000))), [1, 2]);
        let closed = PollEntry { is_closed: true, version: 2, ..entry(1, 4) };
        index.update(vec![closed, PollEntry { closes_at: None, ..entry(2, 5) }], 5);
        assert_eq!(ids(&index.due(Timestamp(9_000))), [1, 3]);
        assert_eq!(index.due(Timestamp(9_000))[0].due(Timestamp(9_000)), None);
        assert_eq!(index.due(Timestamp(11_000))[0].due(Timestamp(11_000)), Some(Mark::Final));
        assert_eq!(ids(&index.closing(Timestamp(0))), [1]);
        let last = PollEntry { is_closed: true, is_final: true, is_archived: true, version: 3, ..entry(1, 6) };
        index.update(vec![last, entry(3, 7)], 7);
        assert_eq!((ids(&index.due(Timestamp(9_000))), index.version_of(PollId(1))), (vec![3], Some(3)));
        assert_eq!(index.id("poll-3"), Some(PollId(3)));
        let openings = |until| index.opening(Timestamp(150)..=Timestamp(until));
        assert_eq!(openings(300), [(Timestamp(200), PollId(2)), (Timestamp(300), PollId(3))]);
        assert_eq!(openings(199), []);
        assert_eq!(index.page(PollId(0), 9, false), [PollId(2), PollId(3)]);
        assert_eq!(index.page(PollId(0), 2, true), [PollId(1), PollId(2)]);
        assert_eq!(index.page(PollId(i64::MAX), 2, true), []);
    }

    #[test]
    fn an_end_is_due_step_by_step() {
        let ending = Ending { id: PollId(1), version: 1, closes_at: Timestamp(20), is_closed: false };
        let last = Timestamp(20 + CLOSING_MS);
        assert_eq!(
            [Timestamp(19), Timestamp(20), last].map(|at| ending.due(at)),
            [None, Some(Mark::Closed), Some(Mark::Closed)]
        );
        let closed = Ending { is_closed: true, ..ending };
        let due = [Timestamp(20), last.plus_ms(-1), last].map(|at| closed.due(at));
        assert_eq!(due, [None, None, Some(Mark::Final)]);
    }

    #[test]
    fn slug_of_a_deleted_draft_may_be_another_polls() {
        let mut index = PollIndex::default();
        index.replace(vec![entry(1, 1)], 1);
        index.update(vec![PollEntry { slug: "poll-1".parse().unwrap(), ..entry(2, 3) }], 3);
        index.update(vec![entry(1, 4)], 4);
        assert_eq!(index.id("poll-1"), Some(PollId(1)));
    }
}
