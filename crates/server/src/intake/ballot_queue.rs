//! The ballot queue: where the ballots of one core wait until they are durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use bytes::Bytes;
use throng_domain::ballot::Ballot;
use throng_domain::poll::PollId;
use tokio::sync::{Notify, oneshot};

use super::{Disposition, SubmitError, Submitted};
use crate::results::SharedSnapshot;

/// With this many ballots in a queue, waiting for more gains nothing: enough of them share the disk's sync.
const GATHERED_ENOUGH: usize = 512;

/// With fewer ballots than this, waiting for more isn't worth polling the core's sockets again.
const GATHERED_FEW: usize = 48;

/// Passes the ballots of one core to the recorder, or to the core's publish loop, and their results back to the handlers.
///
/// Threads synchronize here once per batch, not once per ballot. At the end of each turn of its core's event loop,
/// [`run_dispatch`](Self::run_dispatch) wakes the recorder for all ballots that have gathered. The recorder returns a
/// completed batch with one wakeup, and the dispatch sends the results to the handlers on its own core.
#[derive(Debug)]
pub struct BallotQueue {
    waiting_max: usize,
    pending: Mutex<Pending>,
    completed: Mutex<Vec<CompletedBatch>>,
    wakeup: Notify,
}

/// Ballots that are admitted and not collected yet, and the counts of admitted ballots.
#[derive(Debug, Default)]
struct Pending {
    batch: PendingBatch,
    /// Ballots admitted and not yet completed: those in `batch` and those being recorded.
    waiting: usize,
    /// Ballots admitted so far.
    admitted: u64,
    closed: bool,
}

/// Ballots and, at the same positions, where each one's result is sent.
#[derive(Debug, Default)]
pub(super) struct PendingBatch {
    pub(super) ballots: Vec<Ballot>,
    pub(super) responders: Vec<Responder>,
}

pub(super) type SubmitResult = Result<Submitted, SubmitError>;
pub(super) type Responder = oneshot::Sender<SubmitResult>;

/// One ballot queue's share of a batch that was recorded or published, or that failed.
#[derive(Debug)]
pub(super) struct CompletedBatch {
    pub(super) responders: Vec<Responder>,
    pub(super) outcomes: Result<Outcomes, SubmitError>,
}

/// The disposition of each ballot, in the order of the responders, and the results of their polls.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) each: Vec<(PollId, Disposition)>,
    pub(super) results: Arc<[SharedSnapshot]>,
}

impl BallotQueue {
    /// A queue in which at most `waiting_max` ballots wait at once.
    pub fn new(waiting_max: usize) -> Arc<Self> {
        Arc::new(Self { waiting_max, pending: Mutex::default(), completed: Mutex::default(), wakeup: Notify::new() })
    }

    /// Submits a ballot; the future waits until it is durable.
    ///
    /// The ballot is admitted by the call, and so the future doesn't contain it. An admitted ballot is recorded even if the future
    /// is dropped.
    ///
    /// # Errors
    /// [`SubmitError`], which states what is known about the ballot.
    pub fn submit(&self, ballot: Ballot) -> impl Future<Output = Result<Submitted, SubmitError>> + use<> {
        let admitted = self.admit(ballot);
        async move { admitted?.await.unwrap_or(Err(SubmitError::Unknown)) }
    }

    fn admit(&self, ballot: Ballot) -> Result<oneshot::Receiver<SubmitResult>, SubmitError> {
        let mut pending = self.pending();
        if pending.closed {
            return Err(SubmitError::Unavailable);
        }
        if pending.waiting >= self.waiting_max {
            return Err(SubmitError::Busy);
        }
        let (responder, result) = oneshot::channel();
        let first = pending.batch.ballots.is_empty();
        pending.waiting += 1;
        pending.admitted += 1;
        pending.batch.ballots.push(ballot);
        pending.batch.responders.push(responder);
        drop(pending);
        if first {
            self.wakeup.notify_one();
        }
        Ok(result)
    }

    /// Wakes the recorder for pending ballots and sends completed batches' results, until dropped. Must run on the queue's own
    /// core, whose runtime polls it after the handlers that were ready before it.
    pub async fn run_dispatch(&self, recorder: Thread) {
        loop {
            self.wakeup.notified().await;
            for completed in std::mem::take(&mut *lock(&self.completed)) {
                self.respond(completed);
            }
            if self.gather(GATHERED_FEW).await > 0 {
                recorder.unpark();
            }
        }
    }

    /// Under load, waits while each turn of this core's event loop adds ballots, so that requests that arrived together become
    /// durable together. A turn without a new ballot ends the wait, and with fewer than `few` ballots there is none. Returns
    /// the number of pending ballots.
    pub(super) async fn gather(&self, few: usize) -> usize {
        let mut gathered = 0;
        loop {
            let ballots = self.pending().batch.ballots.len();
            // No more than before: the turn added none, or the recorder is awake and has collected them.
            if ballots <= gathered || !(few..GATHERED_ENOUGH).contains(&ballots) {
                return ballots;
            }
            gathered = ballots;
            tokio::task::yield_now().await;
        }
    }

    /// Waits for the first pending ballot since the last wakeup. May also return without one.
    pub(super) async fn wakeup(&self) {
        self.wakeup.notified().await;
    }

    /// Removes and returns the first `ballots_max` pending ballots; `None` if there are none.
    pub(super) fn take(&self, ballots_max: usize) -> Option<PendingBatch> {
        let mut pending = self.pending();
        let gathered = &mut pending.batch;
        let count = gathered.ballots.len().min(ballots_max);
        let rest = PendingBatch {
            ballots: gathered.ballots.split_off(count),
            responders: gathered.responders.split_off(count),
        };
        let batch = std::mem::replace(gathered, rest);
        (count > 0).then_some(batch)
    }

    /// Sends a batch's results to its handlers. Must be called on the queue's own core.
    pub(super) fn respond(&self, completed: CompletedBatch) {
        self.pending().waiting -= completed.responders.len();
        completed.send();
    }

    /// Moves all pending ballots to the end of `batch`; returns the length of `batch`.
    pub(super) fn collect(&self, batch: &mut PendingBatch) -> usize {
        let gathered = &mut self.pending().batch;
        batch.ballots.append(&mut gathered.ballots);
        batch.responders.append(&mut gathered.responders);
        batch.ballots.len()
    }

    /// Returns a batch from the recorder's thread; the dispatch sends its results.
    pub(super) fn complete(&self, completed: CompletedBatch) {
        lock(&self.completed).push(completed);
        self.wakeup.notify_one();
    }

    /// Rejects every ballot from now on.
    pub fn close(&self) {
        self.pending().closed = true;
    }

    /// Closes a queue whose dispatch or publish loop has ended, and fails the ballots that still wait.
    pub fn close_and_fail(&self) {
        let gathered = {
            let mut pending = self.pending();
            pending.closed = true;
            std::mem::take(&mut pending.batch)
        };
        // These were never collected, and never will be.
        self.respond(CompletedBatch { responders: gathered.responders, outcomes: Err(SubmitError::Unavailable) });
        for completed in std::mem::take(&mut *lock(&self.completed)) {
            self.respond(completed);
        }
    }

    /// The number of ballots that are admitted and not completed.
    pub fn waiting(&self) -> usize {
        self.pending().waiting
    }

    /// The number of ballots admitted since the start.
    pub fn admitted(&self) -> u64 {
        self.pending().admitted
    }

    /// The number of ballots completed since the start.
    pub fn completed(&self) -> u64 {
        let pending = self.pending();
        pending.admitted - u64::try_from(pending.waiting).unwrap_or(u64::MAX)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }
}

impl CompletedBatch {
    /// Sends each ballot's result. A handler may have been dropped by then; its ballot is recorded regardless.
    fn send(self) {
        match self.outcomes {
            Ok(Outcomes { each, results }) => {
                let results: Vec<(PollId, Bytes)> =
                    results.iter().map(|live| (live.tallies.poll, Bytes::copy_from_slice(&live.compat))).collect();
                for (responder, (poll, disposition)) in self.responders.into_iter().zip(each) {
                    let result = results.iter().find(|(id, _)| *id == poll).map(|(_, bytes)| bytes.clone());
                    let _ = responder.send(Ok(Submitted { disposition, result: result.unwrap_or_default() }));
                }
            }
            Err(error) => {
                for responder in self.responders {
                    let _ = responder.send(Err(error));
                }
            }
        }
    }
}

/// No code here panics while it holds a lock, so the data of a poisoned lock is consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
