//! The recorder: the one thread that has ballots recorded, batch after batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use throng_domain::clock::Clock;
use throng_domain::store::{Outcome, Recorded, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug_span, error, warn};

use super::desk::{Answered, Batch, Desk, Outcomes};
use super::precedence::Precedence;
use super::{BATCH_SPANS, Complaints, Fate, NotRecorded};
use crate::metrics::{DatabaseLogMetrics, IntakeMetrics, NotSafe};
use crate::results::{LivePolls, SharedSnapshot};

/// How often the store is maintained, at the least where nothing is recorded.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// What the recorder works with.
#[derive(Debug)]
pub struct Recorder {
    /// Where ballots come from and answers go.
    pub desks: Vec<Arc<Desk>>,
    /// Where ballots are recorded.
    pub store: Arc<dyn Store>,
    /// Where results are published, before the ballots' answers go out.
    pub polls: Arc<LivePolls>,
    /// The time results are stamped with.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub metrics: Arc<IntakeMetrics>,
    /// What is measured of the store's log.
    pub database_log: DatabaseLogMetrics,
    /// What is logged of batches that fail.
    pub complaints: Arc<Complaints>,
    /// Whether the store could be written when that was last tried.
    pub writable: Arc<AtomicBool>,
    /// To be cancelled when the recorder can't go on.
    pub failed: CancellationToken,
}

/// The end of recording: whatever brings it, a panic too, it ends the server, since nobody else records, and nobody is
/// left waiting.
struct End<'a>(&'a Recorder);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.failed.cancel();
        let mut left = Batch::default();
        for desk in &self.0.desks {
            desk.close();
            desk.collect(&mut left);
        }
    }
}

/// What came of a batch: each ballot's outcome, and the results of their polls.
type BatchOutcomes = Result<(Vec<Outcome>, Arc<[SharedSnapshot]>), NotRecorded>;

/// The running recorder.
#[derive(Debug)]
pub struct RecorderThread {
    thread: JoinHandle<Result<(), Failed>>,
    finish: CancellationToken,
}

impl RecorderThread {
    /// What desks wake when ballots wait there.
    pub fn thread(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Has the recorder record what is left at the desks, which must be closed, and waits for its end.
    ///
    /// # Errors
    /// What ended it before.
    pub fn finish(self) -> Result<(), Failed> {
        self.finish.cancel();
        self.thread.thread().unpark();
        // A panic was told when it happened.
        self.thread.join().unwrap_or(Err(Failed::Fault))
    }
}

/// What ends intake before it is told to end.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteFailure),
    /// The store isn't where it was.
    #[error(
        "ballots can't be recorded any more, so this server has stopped: {why}. No ballot was answered as counted after \
         that. {rescued}"
    )]
    Displaced {
        /// What was found.
        why: String,
        /// What became of the ballots that only this process could still reach.
        rescued: String,
    },
    /// A fault of ours ended the recorder, or what carries ballots from a core.
    #[error(
        "ballots can't be made safe any more, so this server has stopped: a fault in Throng, told above. No ballot was \
         answered as counted that isn't safe. Start throng again, and report the fault"
    )]
    Fault,
}

/// The write that failed, for whoever has to tell the operator.
#[derive(Debug, thiserror::Error)]
#[error(
    "ballots can't be recorded any more, so this server has stopped: {0}. No ballot was answered as counted that isn't \
     on the disk. See to the disk (its free space, its errors in `dmesg`), then start throng again: it recovers by itself"
)]
pub struct WriteFailure(StoreError);

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self) -> std::io::Result<RecorderThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let finish = CancellationToken::new();
        let told = finish.clone();
        let thread =
            thread::Builder::new().name("recorder".to_owned()).spawn(move || runtime.block_on(self.run(&told)))?;
        Ok(RecorderThread { thread, finish })
    }

    /// Records batch after batch until told to finish.
    async fn run(self, finish: &CancellationToken) -> Result<(), Failed> {
        let mut batch = Batch::default();
        let mut ends = Vec::with_capacity(self.desks.len());
        let mut precedence = Precedence::of_this_thread();
        let mut maintained = Instant::now();
        let _end = End(&self);
        loop {
            if maintained.elapsed() >= MAINTAIN_EVERY {
                self.maintain().await?;
                maintained = Instant::now();
            }
            let finishing = finish.is_cancelled();
            ends.clear();
            ends.extend(self.desks.iter().map(|desk| desk.collect(&mut batch)));
            if batch.ballots.is_empty() {
                if finishing {
                    return Ok(());
                }
                // Whoever puts a ballot on a desk wakes this thread after, so none is slept through.
                thread::park_timeout(MAINTAIN_EVERY);
                continue;
            }
            precedence.suit(batch.ballots.len());
            let recorded = self.record(&batch).await;
            let (outcomes, failure) = self.outcomes(recorded, batch.ballots.len());
            self.answer(&mut batch, &ends, outcomes);
            if let Some(failure) = failure {
                self.refuse_the_rest(batch);
                return Err(self.failed(failure).await);
            }
            // Cores that wait for this processor have answers to send and ballots to read, for the next batch to share.
            thread::yield_now();
        }
    }

    /// # Errors
    /// After which nothing more may be recorded.
    async fn maintain(&self) -> Result<(), Failed> {
        let maintained = self.store.maintain().await;
        self.database_log.found(self.store.log_state());
        let was_writable = self.writable.swap(maintained.is_ok(), Ordering::Relaxed);
        match maintained {
            Ok(()) => Ok(()),
            Err(error) if error.may_pass() => {
                if was_writable {
                    warn!(%error, "the store can't be written; ballots are refused until it can");
                }
                Ok(())
            }
            Err(error) => {
                error!(%error, "nothing more can be recorded");
                // Those who wait are told before the ballots are saved, which may take a while.
                self.refuse_the_rest(Batch::default());
                Err(self.failed(error).await)
            }
        }
    }

    /// What ends this server after `error`.
    async fn failed(&self, error: StoreError) -> Failed {
        let StoreError::Displaced(why) = error else { return WriteFailure(error).into() };
        let rescued = match self.store.rescue().await {
            Ok(None) => "Put it back, or set DATABASE_URL to where it is now, then start throng again".to_owned(),
            Ok(Some(place)) => format!(
                "All that it held was saved to {place}: to go on with that, stop throng and run `throng restore {place}`"
            ),
            Err(error) => format!("What it held could not be saved: {error}"),
        };
        Failed::Displaced { why, rescued }
    }

    async fn record(&self, batch: &Batch) -> Result<Recorded, StoreError> {
        let span = debug_span!(target: BATCH_SPANS, "record", ballots = batch.ballots.len());
        let started = Instant::now();
        let recorded = self.store.record(&batch.ballots).instrument(span).await;
        let refused = matches!(recorded, Err(StoreError::Unavailable(_)));
        if self.writable.load(Ordering::Relaxed) == refused {
            self.writable.store(!refused, Ordering::Relaxed);
        }
        match &recorded {
            Ok(recorded) => self.metrics.recorded(&recorded.outcomes, started.elapsed()),
            Err(error) => self.metrics.failed(NotSafe::of(error)),
        }
        recorded
    }

    /// Publishes the new results and gives what came of each ballot; beside it, the failure after which nothing more
    /// may be recorded.
    fn outcomes(&self, recorded: Result<Recorded, StoreError>, ballots: usize) -> (BatchOutcomes, Option<StoreError>) {
        match recorded {
            Ok(Recorded { outcomes, tallies }) => {
                let now = self.clock.now();
                let results = tallies.into_iter().map(|tallies| self.polls.publish(tallies, now)).collect();
                (Ok((outcomes, results)), None)
            }
            Err(error @ StoreError::Unavailable(_)) => {
                self.complaints.log(NotSafe::NotTaken, &error, ballots, self.clock.now());
                (Err(NotRecorded::Unavailable), None)
            }
            Err(error @ StoreError::Unknown(_)) => {
                self.complaints.log(NotSafe::Unknown, &error, ballots, self.clock.now());
                (Err(NotRecorded::Unknown), None)
            }
            Err(
                error @ (StoreError::Conflict(_)
                | StoreError::Rejected(_)
                | StoreError::WriteFailed(_)
                | StoreError::Displaced(_)
                | StoreError::Corrupt(_)),
            ) => {
                error!(%error, ballots, "a batch failed, its outcome is unknown");
                (Err(NotRecorded::Unknown), Some(error))
            }
        }
    }

    /// Hands each desk its share. `ends` says where in the batch each desk's ballots end.
    fn answer(&self, batch: &mut Batch, ends: &[usize], outcomes: BatchOutcomes) {
        let (outcomes, results) = match outcomes {
            Ok((outcomes, results)) => (outcomes, Ok(results)),
            Err(error) => (Vec::new(), Err(error)),
        };
        let mut callers = batch.callers.drain(..);
        let fates = outcomes.into_iter().map(Fate::Recorded);
        let mut each = batch.ballots.drain(..).map(|ballot| ballot.poll).zip(fates);
        let mut from = 0;
        for (desk, to) in self.desks.iter().zip(ends) {
            let count = to - from;
            from = *to;
            if count == 0 {
                continue;
            }
            let callers = callers.by_ref().take(count).collect();
            let outcomes =
                results.clone().map(|results| Outcomes { each: each.by_ref().take(count).collect(), results });
            desk.hand_back(Answered { callers, outcomes });
        }
    }

    /// After a failed write: admits nothing more, and tells those who wait that nothing of theirs was recorded.
    fn refuse_the_rest(&self, mut batch: Batch) {
        for desk in &self.desks {
            desk.close();
            desk.collect(&mut batch);
            batch.ballots.clear();
            let callers = batch.callers.drain(..).collect();
            desk.hand_back(Answered { callers, outcomes: Err(NotRecorded::Unavailable) });
        }
    }
}
