//! A broker in memory, which does what a test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{
    BallotConsumer, CheckProgress, Delivery, DeliveryTag, EmptyCheck, Publisher, QueueError, ResultPublisher,
    ResultSubscriber,
};
use throng_domain::tally::Tallies;
use tokio::sync::{Notify, broadcast};

/// What becomes of a message that is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It is taken and confirmed.
    #[default]
    Confirms,
    /// It is not taken.
    Refuses,
    /// It is taken, and the confirm is lost.
    LosesConfirms,
    /// Nothing, until the mood changes.
    Waits,
    /// The publisher panics.
    Panics,
}

/// The broker: all its sides share one state.
#[derive(Clone, Debug)]
pub struct FakeBroker {
    state: Arc<Mutex<State>>,
    wakeup: Arc<Notify>,
    results: broadcast::Sender<Vec<Tallies>>,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    ready: VecDeque<(u64, Vec<Ballot>)>,
    unacknowledged: Vec<(u64, Vec<Ballot>)>,
    last: u64,
    left: usize,
    /// Consumers that nothing is known of, beside the worker.
    strangers: u64,
    /// How long connecting takes, while there is no connection.
    connects_in: Option<Duration>,
}

impl FakeBroker {
    pub fn new() -> Self {
        Self { state: Arc::default(), wakeup: Arc::default(), results: broadcast::channel(64).0 }
    }

    pub fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
        self.wakeup.notify_waiters();
    }

    /// Delivers again what was delivered and not done with, and once more each of what waits.
    pub fn deliver_again(&self) {
        let mut state = self.state();
        let mut again = std::mem::take(&mut state.unacknowledged);
        again.extend(state.ready.iter().rev().cloned());
        state.ready.extend(again);
        drop(state);
        self.wakeup.notify_waiters();
    }

    /// From now on, so many consumers are at the queue that are no worker of this version.
    pub fn set_strangers(&self, strangers: u64) {
        self.state().strangers = strangers;
    }

    /// Ends the worker's connection; another one takes so long to make.
    pub fn cut_off_for(&self, connects_in: Duration) {
        self.state().connects_in = Some(connects_in);
    }

    /// How many messages are neither recorded nor lost.
    pub fn pending(&self) -> usize {
        let state = self.state();
        state.ready.len() + state.unacknowledged.len()
    }

    /// How many publishers have taken their leave.
    pub fn left(&self) -> usize {
        self.state().left
    }

    /// How many ballots are in the messages that are neither recorded nor lost.
    pub fn pending_ballots(&self) -> usize {
        self.state().ready.iter().map(|(_, ballots)| ballots.len()).sum()
    }

    /// A listener to what is announced from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.results.subscribe())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl Publisher for FakeBroker {
    async fn publish(&self, ballots: &[Ballot]) -> Result<(), QueueError> {
        loop {
            let notified = Arc::clone(&self.wakeup).notified_owned();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.state().mood != Mood::Waits {
                break;
            }
            notified.await;
        }
        let mood = self.state().mood;
        assert_ne!(mood, Mood::Panics, "a fault of ours");
        let mut state = self.state();
        if state.mood == Mood::Refuses {
            return Err(QueueError::Unavailable("it is in a mood".into()));
        }
        state.last += 1;
        let number = state.last;
        state.ready.push_back((number, ballots.to_vec()));
        let mood = state.mood;
        drop(state);
        self.wakeup.notify_waiters();
        if mood == Mood::LosesConfirms { Err(QueueError::Unknown("no confirm came".into())) } else { Ok(()) }
    }

    fn refusal(&self) -> Result<(), QueueError> {
        match self.state().mood {
            Mood::Refuses => Err(QueueError::Unavailable("it is in a mood".into())),
            Mood::Confirms | Mood::LosesConfirms | Mood::Waits | Mood::Panics => Ok(()),
        }
    }

    async fn close(&self) {
        self.state().left += 1;
    }
}

#[async_trait]
impl BallotConsumer for FakeBroker {
    async fn prepare(&mut self) {
        let connects_in = self.state().connects_in;
        if let Some(connects_in) = connects_in {
            tokio::time::sleep(connects_in).await;
            self.state().connects_in = None;
        }
    }

    async fn next(&mut self, _: usize) -> Result<Vec<Delivery>, QueueError> {
        loop {
            let notified = Arc::clone(&self.wakeup).notified_owned();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut state = self.state();
                let taken: Vec<_> = state.ready.drain(..).collect();
                state.unacknowledged.extend(taken.iter().cloned());
                if !taken.is_empty() {
                    let delivery = |(number, ballots)| Delivery {
                        tag: DeliveryTag { generation: 1, number },
                        ballots,
                        redelivered: false,
                    };
                    return Ok(taken.into_iter().map(delivery).collect());
                }
            }
            notified.await;
        }
    }

    async fn done(&mut self, tags: &[DeliveryTag]) -> Result<(), QueueError> {
        self.state().unacknowledged.retain(|(number, _)| !tags.iter().any(|tag| tag.number == *number));
        Ok(())
    }

    fn queue(&self) -> &str {
        "throng"
    }

    fn generation(&self) -> Option<u64> {
        Some(1)
    }

    async fn check_empty(&mut self) -> Option<EmptyCheck> {
        let state = self.state();
        let check = EmptyCheck { generation: 1, consumers: 1 + state.strangers, unreadable: 0, last: u64::MAX };
        state.ready.is_empty().then_some(check)
    }

    async fn set_bound(&mut self, check: &mut EmptyCheck) {
        check.last = self.state().last;
    }

    fn progress(&self, check: &EmptyCheck) -> CheckProgress {
        let waits = self.state().unacknowledged.iter().any(|(number, _)| *number <= check.last);
        if waits { CheckProgress::Pending } else { CheckProgress::Recorded }
    }
}

#[async_trait]
impl ResultPublisher for FakeBroker {
    async fn publish(&self, tallies: &[Tallies]) -> Result<(), QueueError> {
        self.results.send(tallies.to_vec()).map(drop).map_err(|_| QueueError::Unavailable("nobody listens".into()))
    }
}

#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Vec<Tallies>>);

#[async_trait]
impl ResultSubscriber for Listener {
    async fn next(&mut self) -> Vec<Tallies> {
        match self.0.recv().await {
            Ok(tallies) => tallies,
            Err(_) => std::future::pending().await,
        }
    }
}
