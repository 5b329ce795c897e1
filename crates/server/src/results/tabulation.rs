//! Results that take more than the options' counts: rounds and scores, tabulated when somebody asks for them.
//!
//! A ballot changes the counts of its ranking or its scores in its transaction, which costs the same however many there are. What
//! follows from them costs as much as there are different rankings, so it isn't made for each ballot, and not more often than takes a
//! tenth of a processor.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;
use throng_domain::store::StoreError;
use throng_domain::tally::DetailedTallies;
use throng_domain::tally::Tallies;
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
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A result and what was tabulated of it.
#[derive(Debug)]
pub(super) struct Tabulation {
    /// The counts.
    pub(super) tallies: Tallies,
    /// The last time at which they were known to be the latest.
    pub(super) as_of: Timestamp,
    /// What was tabulated of their details.
    pub(super) tabulated: Option<Tabulated>,
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

    /// Tabulates the poll's result, unless the latest tabulation `is_current`, or has to do for now; returns it then. Once begun it is
    /// completed, also if nobody waits for it any more: clients that don't wait must not have it begun again and again.
    ///
    /// # Errors
    /// Those of the store, if there is no earlier tabulation.
    pub(super) async fn tabulate(
        &self,
        poll: &Poll,
        source: &ResultSource,
        is_current: impl Fn(&Tabulation) -> bool,
    ) -> Result<Option<Arc<Tabulation>>, StoreError> {
        let needs_none = || self.latest.load().as_deref().is_some_and(&is_current);
        if needs_none() {
            return Ok(None);
        }
        let Some(next) = self.turn().await else { return Ok(None) };
        let pause = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()));
        if needs_none() || pause > PAUSE_WAIT_MAX && self.latest.load().is_some() {
            return Ok(None);
        }
        sleep(pause).await;
        let made = tokio::spawn(make(poll.clone(), source.clone(), Arc::clone(&self.latest), next)).await;
        match made.unwrap_or_else(|error| Err(StoreError::Unavailable(error.into()))) {
            Ok(made) => Ok(Some(made)),
            Err(_) if self.latest.load().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The turn to tabulate; `None` if another one took too long, and there is an earlier result.
    async fn turn(&self) -> Option<OwnedMutexGuard<Option<Instant>>> {
        let turn = Arc::clone(&self.next).lock_owned();
        if self.latest.load().is_none() {
            return Some(turn.await);
        }
        timeout(WAIT_MAX, turn).await.ok()
    }
}

async fn make(
    poll: Poll,
    source: ResultSource,
    latest: Arc<ArcSwapOption<Tabulation>>,
    mut next: OwnedMutexGuard<Option<Instant>>,
) -> Result<Arc<Tabulation>, StoreError> {
    let (began, as_of) = (Instant::now(), source.clock.now());
    let made = async {
        let DetailedTallies { tallies, details } = source.detailed(poll.id).await?;
        let tabulated = tokio::task::spawn_blocking(move || Tabulated::of(&poll, &details)).await;
        let tabulated = tabulated.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Arc::new(Tabulation { tallies, as_of, tabulated }))
    };
    let made = made.await;
    *next = Some(Instant::now() + (began.elapsed() * PAUSE_FACTOR).min(PAUSE_MAX));
    if let Ok(made) = &made {
        latest.store(Some(Arc::clone(made)));
    }
    made
}
