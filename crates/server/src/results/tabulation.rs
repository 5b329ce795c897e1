//! Results that take more than the options' counts: rounds and scores, tabulated when somebody asks for them.
//!
//! A ballot changes the counts of its ranking or its scores in its transaction, which costs the same however many there are. What
//! follows from them costs as much as there are different rankings, so it isn't made for each ballot: once for all who ask at the same
//! time, with pauses in which nine times as much time passes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;
use throng_domain::store::StoreError;
use throng_domain::tally::{DetailedTallies, Tallies};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::source::ResultSource;
use crate::view::Tabulated;

/// How long to wait for somebody else's tabulation before an earlier one is used.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How long to wait for the end of a pause before an earlier one is used.
const PAUSE_WAIT_MAX: Duration = Duration::from_millis(500);

/// The pause after a tabulation, as a multiple of the time that it took.
const PAUSE_FACTOR: u32 = 9;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(100);

/// A result and what was tabulated of it.
#[derive(Clone, Debug)]
pub(super) struct Tabulation {
    /// The version of the poll whose rules it was tabulated by.
    version: u64,
    /// The counts.
    pub(super) tallies: Tallies,
    /// The last time at which they were known to be the latest.
    pub(super) as_of: Timestamp,
    /// What was tabulated of their details.
    pub(super) tabulated: Arc<Option<Tabulated>>,
}

/// What a reader needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    /// The version of the poll.
    pub(super) version: u64,
    /// The version of the result, or a later one.
    pub(super) seq: u64,
    /// Known to be the latest at this time or later.
    pub(super) as_of: Option<Timestamp>,
    /// Whether nothing earlier will do, since the result is final.
    pub(super) exactly: bool,
}

impl Needed {
    fn is_met_by(self, tabulation: &Tabulation) -> bool {
        tabulation.version == self.version
            && tabulation.tallies.seq >= self.seq
            && self.as_of.is_none_or(|as_of| tabulation.as_of >= as_of)
    }
}

/// Tabulates the results of one poll.
#[derive(Debug, Default)]
pub(super) struct Tabulator {
    latest: Arc<ArcSwapOption<Tabulation>>,
    /// When the next tabulation may begin; held during one.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Tabulator {
    /// The latest tabulation.
    pub(super) fn latest(&self) -> Option<Arc<Tabulation>> {
        self.latest.load_full()
    }

    /// Tabulates the poll's result, unless the latest tabulation is what is `needed`, or has to do for now; returns it then. Once begun it
    /// is completed, also if nobody waits for it any more: clients that don't wait must not have it begun again and again.
    ///
    /// # Errors
    /// Those of the store, or [`StoreError::Unavailable`] if it takes too long, if no earlier tabulation will do.
    pub(super) async fn tabulate(
        &self,
        poll: &Poll,
        source: &ResultSource,
        needed: Needed,
    ) -> Result<Option<Arc<Tabulation>>, StoreError> {
        let is_there = || self.latest.load().as_deref().is_some_and(|latest| needed.is_met_by(latest));
        if is_there() {
            return Ok(None);
        }
        match self.make_in_turn(poll, source, needed, is_there).await {
            Err(_) if !needed.exactly && self.latest.load().is_some() => Ok(None),
            made => made,
        }
    }

    async fn make_in_turn(
        &self,
        poll: &Poll,
        source: &ResultSource,
        needed: Needed,
        is_there: impl Fn() -> bool,
    ) -> Result<Option<Arc<Tabulation>>, StoreError> {
        let too_long = || StoreError::Unavailable("the result is being tabulated".into());
        let next = timeout(WAIT_MAX, Arc::clone(&self.next).lock_owned()).await.map_err(|_| too_long())?;
        if is_there() {
            return Ok(None);
        }
        // A final result is tabulated once.
        let pause = next
            .filter(|_| !needed.exactly)
            .map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()));
        if pause > PAUSE_WAIT_MAX {
            return Err(too_long());
        }
        sleep(pause).await;
        let made = tokio::spawn(make(poll.clone(), source.clone(), Arc::clone(&self.latest), next)).await;
        made.unwrap_or_else(|error| Err(StoreError::Unavailable(error.into()))).map(Some)
    }
}

async fn make(
    poll: Poll,
    source: ResultSource,
    latest: Arc<ArcSwapOption<Tabulation>>,
    mut next: OwnedMutexGuard<Option<Instant>>,
) -> Result<Arc<Tabulation>, StoreError> {
    let began = Instant::now();
    let made = match unchanged(&poll, &source, latest.load_full()).await {
        Some(unchanged) => Ok(unchanged),
        None => tabulated(poll, &source).await,
    };
    *next = Some(Instant::now() + (began.elapsed() * PAUSE_FACTOR).min(PAUSE_MAX));
    let made = Arc::new(made?);
    latest.store(Some(Arc::clone(&made)));
    Ok(made)
}

/// The earlier tabulation, known to be still the latest.
async fn unchanged(poll: &Poll, source: &ResultSource, earlier: Option<Arc<Tabulation>>) -> Option<Tabulation> {
    let earlier = earlier.filter(|earlier| earlier.version == poll.version)?;
    let stored = source.query(poll.id).await.ok()?;
    (stored.tallies.seq == earlier.tallies.seq).then(|| Tabulation { as_of: stored.as_of, ..(*earlier).clone() })
}

async fn tabulated(poll: Poll, source: &ResultSource) -> Result<Tabulation, StoreError> {
    let (as_of, version) = (source.clock.now(), poll.version);
    let DetailedTallies { tallies, details } = source.detailed(poll.id).await?;
    let tabulated = tokio::task::spawn_blocking(move || Tabulated::of(&poll, details)).await;
    let tabulated = Arc::new(tabulated.map_err(|error| StoreError::Unavailable(error.into()))?);
    Ok(Tabulation { version, tallies, as_of, tabulated })
}

#[cfg(test)]
mod tests {
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::ballot::{Ballot, BallotId};
    use throng_domain::clock::ManualClock;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::Kind;
    use throng_domain::store::{BallotStore as _, PollStore as _, Schema as _};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    async fn ranked(directory: &std::path::Path) -> (Arc<SqliteStore>, ResultSource, Poll) {
        let store = SqliteStore::open(&directory.join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let new = NewPoll { kind: Kind::Ranked, ..NewPoll::demo("host".parse().unwrap(), Timestamp(0)) };
        let poll = store.create_poll(new, &Author::THRONG).await.unwrap();
        let store = Arc::new(store);
        let source = ResultSource::of_store(store.clone(), Arc::new(ManualClock::new(NOW)));
        (store, source, poll)
    }

    async fn record(store: &SqliteStore, poll: &Poll, number: u128) -> u64 {
        let (id, choices) = (BallotId(Uuid::from_u128(number)), "3>1".parse().unwrap());
        let recorded = store.record(&[Ballot::unlimited(poll.id, id, choices, NOW)]).await.unwrap();
        recorded.tallies[0].seq
    }

    #[tokio::test]
    async fn only_a_final_result_is_tabulated_in_a_pause() {
        let directory = tempfile::tempdir().unwrap();
        let (store, source, poll) = ranked(directory.path()).await;
        let tabulator = Tabulator::default();
        let first = record(&store, &poll, 1).await;
        let needed = Needed { version: poll.version, seq: first, as_of: None, exactly: false };
        assert_eq!(tabulator.tabulate(&poll, &source, needed).await.unwrap().unwrap().tallies.seq, first);
        assert!(tabulator.tabulate(&poll, &source, needed).await.unwrap().is_none(), "it is there");
        *tabulator.next.lock().await = Some(Instant::now() + Duration::from_secs(60));
        let later = Needed { seq: record(&store, &poll, 2).await, ..needed };
        assert!(tabulator.tabulate(&poll, &source, later).await.unwrap().is_none());
        assert_eq!(tabulator.latest().unwrap().tallies.seq, first, "it has to do for now");
        let last = Needed { exactly: true, ..later };
        assert_eq!(tabulator.tabulate(&poll, &source, last).await.unwrap().unwrap().tallies.seq, later.seq);
        let of_another_version = Needed { version: poll.version + 1, ..last };
        assert!(!of_another_version.is_met_by(&tabulator.latest().unwrap()));
    }

    #[tokio::test]
    async fn unchanged_result_is_not_tabulated_again() {
        let directory = tempfile::tempdir().unwrap();
        let (store, source, poll) = ranked(directory.path()).await;
        let tabulator = Tabulator::default();
        let seq = record(&store, &poll, 1).await;
        let needed = Needed { version: poll.version, seq, as_of: Some(NOW), exactly: false };
        let first = tabulator.tabulate(&poll, &source, needed).await.unwrap().unwrap();
        let later = ResultSource { clock: Arc::new(ManualClock::new(NOW.plus_ms(500))), ..source };
        let needed = Needed { as_of: Some(NOW.plus_ms(500)), ..needed };
        let again = tabulator.tabulate(&poll, &later, needed).await.unwrap().unwrap();
        assert_eq!((first.as_of, again.as_of), (NOW, NOW.plus_ms(500)));
        assert!(Arc::ptr_eq(&first.tabulated, &again.tabulated));
    }
}
