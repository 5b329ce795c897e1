//! The recorder: the one thread that has ballots recorded, batch after batch.

use std::sync::Arc;
use std::thread::{self, JoinHandle, Thread};

use throng_domain::clock::Clock;
use throng_domain::poll::PollId;
use throng_domain::store::{Recorded, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::desk::{Answer, Answered, Batch, Desk};
use super::{NotRecorded, Settled};
use crate::metrics::IntakeMetrics;
use crate::results::{LivePolls, SharedSnapshot};

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
    /// Cancelled by the recorder when it can't go on.
    pub failed: CancellationToken,
}

/// The running recorder.
#[derive(Debug)]
pub struct RecorderThread {
    thread: JoinHandle<Result<(), WriteFailure>>,
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
    /// The failure that ended it, if one did.
    pub fn finish(self) -> Result<(), WriteFailure> {
        self.finish.cancel();
        self.thread.thread().unpark();
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The write that failed, for whoever has to tell the operator.
#[derive(Debug, thiserror::Error)]
#[error("ballots can't be recorded any more: {0}")]
pub struct WriteFailure(#[from] StoreError);

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
    async fn run(self, finish: &CancellationToken) -> Result<(), WriteFailure> {
        let mut batch = Batch::default();
        let mut ends = Vec::with_capacity(self.desks.len());
        // Whatever ends this thread, a panic too, ends the server: nobody else records.
        let _failed = self.failed.clone().drop_guard();
        loop {
            let finishing = finish.is_cancelled();
            ends.clear();
            ends.extend(self.desks.iter().map(|desk| desk.collect(&mut batch)));
            if batch.ballots.is_empty() {
                if finishing {
                    return Ok(());
                }
                // Whoever puts a ballot on a desk wakes this thread after, so none is slept through.
                thread::park();
                continue;
            }
            let recorded = self.record(&batch).await;
            let failure = self.answer(&mut batch, &ends, recorded);
            if let Some(failure) = failure {
                self.turn_away(&mut batch);
                return Err(failure);
            }
        }
    }

    async fn record(&self, batch: &Batch) -> Result<Recorded, StoreError> {
        let started = Instant::now();
        let recorded = self.store.record(&batch.ballots).await;
        self.metrics.batch(batch.ballots.len(), started.elapsed());
        recorded
    }

    /// Publishes the results, then hands each desk its answers; returns the failure after which nothing more may be
    /// recorded. `ends` says where in the batch each desk's ballots end.
    fn answer(
        &self,
        batch: &mut Batch,
        ends: &[usize],
        recorded: Result<Recorded, StoreError>,
    ) -> Option<WriteFailure> {
        let mut failure = None;
        let answers: Box<dyn Iterator<Item = Answer>> = match recorded {
            Ok(recorded) => {
                self.metrics.outcomes(&recorded.outcomes);
                Box::new(self.settle(batch, recorded))
            }
            Err(error @ StoreError::Unavailable(_)) => {
                warn!(%error, ballots = batch.ballots.len(), "a batch was not recorded");
                Box::new(std::iter::repeat_with(|| Err(NotRecorded::Unavailable)))
            }
            Err(error) => {
                error!(%error, ballots = batch.ballots.len(), "a batch failed, its outcome is unknown");
                failure = Some(error.into());
                Box::new(std::iter::repeat_with(|| Err(NotRecorded::Unknown)))
            }
        };
        let mut answered = batch.callers.drain(..).zip(answers);
        let mut from = 0;
        for (desk, to) in self.desks.iter().zip(ends) {
            if *to > from {
                let share: Answered = answered.by_ref().take(to - from).collect();
                desk.hand_back(share);
            }
            from = *to;
        }
        drop(answered);
        batch.ballots.clear();
        failure
    }

    /// Closes the desks, and hands back the ballots that gathered there meanwhile: nothing was done with them.
    fn turn_away(&self, batch: &mut Batch) {
        for desk in &self.desks {
            desk.close();
            desk.collect(batch);
            batch.ballots.clear();
            desk.hand_back(batch.callers.drain(..).map(|caller| (caller, Err(NotRecorded::Unavailable))).collect());
        }
    }

    fn settle(&self, batch: &Batch, recorded: Recorded) -> impl Iterator<Item = Answer> + use<> {
        let now = self.clock.now();
        let snapshots: Vec<(PollId, SharedSnapshot)> =
            recorded.tallies.into_iter().map(|tallies| (tallies.poll, self.polls.publish(tallies, now))).collect();
        let polls: Vec<PollId> = batch.ballots.iter().map(|ballot| ballot.poll).collect();
        recorded.outcomes.into_iter().zip(polls).map(move |(outcome, poll)| {
            // A poll that is gone has no result; its ballots were refused.
            let found = snapshots.iter().find(|(id, _)| *id == poll);
            found.map_or(Err(NotRecorded::Unavailable), |(_, snapshot)| {
                Ok(Settled { outcome, results: Arc::clone(snapshot) })
            })
        })
    }
}
