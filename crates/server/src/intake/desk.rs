//! A desk: where the ballots of one core wait for the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use bytes::Bytes;
use throng_domain::ballot::Ballot;
use throng_domain::poll::PollId;
use tokio::sync::{Notify, oneshot};

use super::{Fate, NotRecorded, Settled};
use crate::results::SharedSnapshot;

/// The ballots at one desk after which waiting for more saves nothing: the disk's sync is shared by enough.
const GATHERED_ENOUGH: usize = 512;

/// The ballots at one desk below which waiting for more isn't worth another look at the core's sockets.
const GATHERED_FEW: usize = 48;

/// Takes the ballots of one core to the recorder, or to the core's courier, and the answers back.
///
/// Handlers and recorder touch a desk once a batch and not once a ballot: at the end of a core's turn its porter
/// wakes the recorder for all that gathered meanwhile, and the recorder hands back a whole batch with one wake, which
/// the porter then spreads to the handlers on its own core.
#[derive(Debug)]
pub struct Desk {
    waiting_max: usize,
    counter: Mutex<Counter>,
    answered: Mutex<Vec<Answered>>,
    bell: Notify,
}

/// The ballots that gather here.
#[derive(Debug, Default)]
struct Counter {
    batch: Batch,
    /// Ballots admitted and not yet answered: those gathering and those being recorded.
    waiting: usize,
    /// Ballots admitted so far.
    admitted: u64,
    closed: bool,
}

/// Ballots and, at the same positions, who waits for each.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) ballots: Vec<Ballot>,
    pub(super) callers: Vec<Caller>,
}

pub(super) type Answer = Result<Settled, NotRecorded>;
pub(super) type Caller = oneshot::Sender<Answer>;

/// One desk's share of what came of a batch.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) callers: Vec<Caller>,
    pub(super) outcomes: Result<Outcomes, NotRecorded>,
}

/// What came of each caller's ballot, in the callers' order, and the results of their polls.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) each: Vec<(PollId, Fate)>,
    pub(super) results: Arc<[SharedSnapshot]>,
}

impl Desk {
    /// A desk at which `waiting_max` ballots may wait at once.
    pub fn new(waiting_max: usize) -> Arc<Self> {
        Arc::new(Self { waiting_max, counter: Mutex::default(), answered: Mutex::default(), bell: Notify::new() })
    }

    /// Hands in a ballot and waits until it is durable.
    ///
    /// The ballot is admitted before the first wait, and what was admitted is recorded even if the caller goes away.
    ///
    /// # Errors
    /// [`NotRecorded`]: what is known of the ballot then.
    pub async fn submit(&self, ballot: Ballot) -> Result<Settled, NotRecorded> {
        let answer = self.admit(ballot)?;
        answer.await.unwrap_or(Err(NotRecorded::Unknown))
    }

    fn admit(&self, ballot: Ballot) -> Result<oneshot::Receiver<Answer>, NotRecorded> {
        let mut counter = self.counter();
        if counter.closed {
            return Err(NotRecorded::Unavailable);
        }
        if counter.waiting >= self.waiting_max {
            return Err(NotRecorded::Busy);
        }
        let (caller, answer) = oneshot::channel();
        let first = counter.batch.ballots.is_empty();
        counter.waiting += 1;
        counter.admitted += 1;
        counter.batch.ballots.push(ballot);
        counter.batch.callers.push(caller);
        drop(counter);
        if first {
            self.bell.notify_one();
        }
        Ok(answer)
    }

    /// Carries between this desk and the recorder for as long as it is polled: run it on the desk's own core, whose
    /// runtime polls it after the handlers that were ready before it.
    pub async fn carry(&self, recorder: Thread) {
        loop {
            self.bell.notified().await;
            for answered in std::mem::take(&mut *lock(&self.answered)) {
                self.answer(answered);
            }
            if self.gather(GATHERED_FEW).await > 0 {
                recorder.unpark();
            }
        }
    }

    /// In a storm, waits while each turn of this core brings more ballots: requests that arrived together are made safe
    /// together. A turn without one ends it, and fewer than `few` ballots don't wait at all. Returns how many have gathered.
    pub(super) async fn gather(&self, few: usize) -> usize {
        let mut gathered = 0;
        loop {
            let ballots = self.counter().batch.ballots.len();
            // No more than before: the turn brought none, or the recorder was here, and is awake.
            if ballots <= gathered || !(few..GATHERED_ENOUGH).contains(&ballots) {
                return ballots;
            }
            gathered = ballots;
            tokio::task::yield_now().await;
        }
    }

    /// Done when ballots have begun to gather here since the last time; perhaps also when not.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The ballots that gathered here, the first `ballots_max` of them; `None` if there are none.
    pub(super) fn take(&self, ballots_max: usize) -> Option<Batch> {
        let mut counter = self.counter();
        let gathered = &mut counter.batch;
        let count = gathered.ballots.len().min(ballots_max);
        let rest = Batch { ballots: gathered.ballots.split_off(count), callers: gathered.callers.split_off(count) };
        let taken = std::mem::replace(gathered, rest);
        (count > 0).then_some(taken)
    }

    /// Gives callers of this core their answers.
    pub(super) fn answer(&self, answered: Answered) {
        self.counter().waiting -= answered.callers.len();
        answered.spread();
    }

    /// Moves the ballots that gathered here to the end of `batch`; returns how many there were.
    pub(super) fn collect(&self, batch: &mut Batch) -> usize {
        let gathered = &mut self.counter().batch;
        batch.ballots.append(&mut gathered.ballots);
        batch.callers.append(&mut gathered.callers);
        batch.ballots.len()
    }

    /// Hands back a batch's answers.
    pub(super) fn hand_back(&self, answered: Answered) {
        lock(&self.answered).push(answered);
        self.bell.notify_one();
    }

    /// Admits nothing more.
    pub fn close(&self) {
        self.counter().closed = true;
    }

    /// Closes a desk that nobody carries from any more, and tells those who wait what is known.
    pub fn abandon(&self) {
        let gathered = {
            let mut counter = self.counter();
            counter.closed = true;
            std::mem::take(&mut counter.batch)
        };
        // Nobody has taken these, and nobody will.
        self.answer(Answered { callers: gathered.callers, outcomes: Err(NotRecorded::Unavailable) });
        for answered in std::mem::take(&mut *lock(&self.answered)) {
            self.answer(answered);
        }
    }

    /// How many ballots wait here.
    pub fn waiting(&self) -> usize {
        self.counter().waiting
    }

    /// How many ballots were ever admitted here.
    pub fn admitted(&self) -> u64 {
        self.counter().admitted
    }

    /// How many ballots that were admitted here have been answered.
    pub fn answered(&self) -> u64 {
        let counter = self.counter();
        counter.admitted - u64::try_from(counter.waiting).unwrap_or(u64::MAX)
    }

    fn counter(&self) -> MutexGuard<'_, Counter> {
        lock(&self.counter)
    }
}

impl Answered {
    /// Sends each caller its answer. A caller that went away doesn't need it; its ballot is recorded all the same.
    fn spread(self) {
        match self.outcomes {
            Ok(Outcomes { each, results }) => {
                let results: Vec<(PollId, Bytes)> =
                    results.iter().map(|live| (live.tallies.poll, Bytes::copy_from_slice(&live.original))).collect();
                for (caller, (poll, fate)) in self.callers.into_iter().zip(each) {
                    let result = results.iter().find(|(id, _)| *id == poll).map(|(_, bytes)| bytes.clone());
                    let _ = caller.send(Ok(Settled { fate, result: result.unwrap_or_default() }));
                }
            }
            Err(error) => {
                for caller in self.callers {
                    let _ = caller.send(Err(error));
                }
            }
        }
    }
}

/// Nothing here panics while it holds a lock, so what a poisoned one guards is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
