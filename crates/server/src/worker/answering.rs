//! Answering rounds: telling the nodes that all is recorded which this line of recording had been delivered.
//!
//! See [`throng_domain::rounds`] for what nodes conclude from the answers. Nothing here holds up recording: a look at the
//! queue takes a moment, between two batches, and what it waits for afterwards is recorded as everything is.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::queue::{BallotConsumer, Followed, Look};
use throng_domain::rounds::{Answer, LineId};
use throng_domain::store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tracing::debug;

/// How often the number of the round is read.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How long after a look everything counts as delivered before it. In a cluster of brokers messages are sent by the member that
/// the worker is connected to, which hears of a delivery a moment later than the leader, who answers the look.
const DELIVERED_WITHIN: Duration = Duration::from_secs(1);

/// How long no look is taken after one that failed, which costs the connection; twice as long after each further one. What made
/// it fail, such as a right that is missing, stays as a rule.
const LOOK_AGAIN_FIRST: Duration = Duration::from_secs(30);

/// How long at the most.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(240);

/// What is known of the last round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownRound {
    /// Its number.
    pub number: u64,
    /// How often it may have gone back, as it does when the database is put back to an earlier state: it was seen to, or the
    /// database couldn't be asked.
    pub breaks: u64,
}

impl KnownRound {
    /// This number was read. Returns whether that is new.
    fn read(&mut self, number: u64) -> bool {
        let breaks = self.breaks + u64::from(number < self.number);
        let read = Self { number, breaks };
        std::mem::replace(self, read) != read
    }
}

/// Reads the number of the round again and again, for all lines of a worker, for as long as it is polled.
pub async fn watch_rounds(store: Arc<dyn Store>, last: watch::Sender<KnownRound>) {
    let mut tick = tokio::time::interval(READ_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match store.round().await {
            Ok(round) => {
                last.send_if_modified(|known| known.read(round));
            }
            // Whoever records says that the store is away.
            Err(error) => {
                debug!(%error, "the number of the round can't be read");
                last.send_modify(|known| known.breaks += 1);
            }
        }
    }
}

/// What one line of recording does for its answers.
#[derive(Debug)]
pub(super) struct Answering {
    store: Arc<dyn Store>,
    rounds: watch::Receiver<KnownRound>,
    /// Who this is on the present connection.
    line: Option<Line>,
    looked: Option<Looked>,
    /// The last round whose turn came, whatever came of it.
    tried: KnownRound,
    /// Before which there is no look.
    not_before: Instant,
    /// How long there is none after one that fails.
    look_again: Duration,
}

/// A consumer on one connection.
#[derive(Clone, Debug)]
struct Line {
    id: LineId,
    queue: String,
    generation: u64,
    joined: u64,
}

/// A look that found nothing, and waits for what was delivered before it.
#[derive(Clone, Copy, Debug)]
struct Looked {
    look: Look,
    round: u64,
    at: Instant,
    is_bound: bool,
}

impl Answering {
    /// That of a line which records in `store`.
    pub(super) fn new(store: Arc<dyn Store>, rounds: watch::Receiver<KnownRound>) -> Self {
        let (not_before, look_again) = (Instant::now(), LOOK_AGAIN_FIRST);
        Self { store, rounds, line: None, looked: None, tried: KnownRound::default(), not_before, look_again }
    }

    /// Done when there is something to do though nothing is delivered.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let (mut rounds, tried, looked, not_before) = (self.rounds.clone(), self.tried, self.looked, self.not_before);
        async move {
            match looked {
                // What it waits for is recorded first.
                Some(Looked { is_bound: true, .. }) => std::future::pending().await,
                Some(Looked { at, .. }) => sleep_until(at + DELIVERED_WITHIN).await,
                None => {
                    sleep_until(not_before).await;
                    if rounds.wait_for(|round| *round != tried).await.is_err() {
                        std::future::pending().await
                    }
                }
            }
        }
    }

    /// Does what can be done between two batches. An answer that the store doesn't take now is given to a later round.
    ///
    /// # Errors
    /// What only a person can mend.
    pub(super) async fn go_on(&mut self, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        match self.step(deliveries).await {
            Err(error) if error.may_pass() => {
                debug!(%error, "a round isn't answered");
                self.looked = None;
                Ok(())
            }
            done => done,
        }
    }

    async fn step(&mut self, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        let round = *self.rounds.borrow();
        if round.breaks != self.tried.breaks {
            // Another round may have the number of one that was looked at, or a lower one than that at which this line joined.
            (self.line, self.looked) = (None, None);
        }
        if let Some(looked) = self.looked {
            self.looked = self.follow(looked, deliveries).await?;
        }
        if self.looked.is_none() && round != self.tried && self.not_before <= Instant::now() {
            self.tried = round;
            self.look(round.number, deliveries).await?;
        }
        Ok(())
    }

    /// Begins an answer to `round`, if this line was a consumer before it and nothing is on the queues.
    async fn look(&mut self, round: u64, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        let Some(generation) = deliveries.generation() else { return Ok(()) };
        let queue = deliveries.queue().to_owned();
        if round > self.joined(generation, queue).await? {
            let look = deliveries.look().await.filter(|look| look.generation == generation);
            self.looked = look.map(|look| Looked { look, round, at: Instant::now(), is_bound: false });
            if deliveries.generation().is_some() {
                self.look_again = LOOK_AGAIN_FIRST;
            } else {
                self.not_before = Instant::now() + self.look_again;
                self.look_again = (self.look_again * 2).min(LOOK_AGAIN_MAX);
            }
        }
        Ok(())
    }

    /// When this line joined. On a connection that wasn't seen before it is a new line, which was a consumer already when the
    /// round's number is read here.
    async fn joined(&mut self, generation: u64, queue: String) -> Result<u64, StoreError> {
        if let Some(line) = self.line.as_ref().filter(|line| line.generation == generation) {
            return Ok(line.joined);
        }
        let joined = self.store.round().await?;
        self.line = Some(Line { id: rand::random(), queue, generation, joined });
        Ok(joined)
    }

    /// Answers if all is recorded that was delivered before the look; returns the look if it is still to be waited for.
    async fn follow(
        &self,
        mut looked: Looked,
        deliveries: &mut dyn BallotConsumer,
    ) -> Result<Option<Looked>, StoreError> {
        if !looked.is_bound {
            if looked.at.elapsed() < DELIVERED_WITHIN {
                return Ok(Some(looked));
            }
            deliveries.bound(&mut looked.look).await;
            looked.is_bound = true;
        }
        match deliveries.follow(&looked.look) {
            Followed::Waits => Ok(Some(looked)),
            Followed::Void => Ok(None),
            Followed::Recorded => {
                if let Some(Line { id: line, queue, joined, .. }) = self.line.clone() {
                    let (round, consumers) = (looked.round, looked.look.consumers);
                    self.store.answer(&Answer { line, queue, joined, round, consumers }).await?;
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::queue::{Delivery, DeliveryTag, QueueError};
    use throng_domain::rounds::Rounds as _;
    use throng_domain::store::Database as _;

    use super::*;

    /// Delivers nothing, and says of what it delivered before what it is told to.
    #[derive(Debug)]
    struct Scripted {
        generation: u64,
        followed: Followed,
        /// Whether looks fail; connecting succeeds.
        fails: bool,
        is_connected: bool,
        looks: usize,
    }

    #[async_trait]
    impl BallotConsumer for Scripted {
        async fn prepare(&mut self) {
            self.generation += u64::from(!self.is_connected);
            self.is_connected = true;
        }

        async fn next(&mut self, _: usize) -> Result<Vec<Delivery>, QueueError> {
            std::future::pending().await
        }

        async fn done(&mut self, _: &[DeliveryTag]) -> Result<(), QueueError> {
            Ok(())
        }

        fn queue(&self) -> &str {
            "throng"
        }

        fn generation(&self) -> Option<u64> {
            self.is_connected.then_some(self.generation)
        }

        async fn look(&mut self) -> Option<Look> {
            self.looks += 1;
            self.is_connected = !self.fails;
            self.is_connected.then_some(Look { generation: self.generation, consumers: 3, unreadable: 0, last: 0 })
        }

        async fn bound(&mut self, _: &mut Look) {}

        fn follow(&self, _: &Look) -> Followed {
            self.followed
        }
    }

    /// A line on its store, and the rounds that it hears of.
    struct Stage {
        store: Arc<SqliteStore>,
        last: watch::Sender<KnownRound>,
        answering: Answering,
        deliveries: Scripted,
    }

    impl Stage {
        /// A line on the store in this directory.
        async fn new(directory: &Path) -> Self {
            let store = Arc::new(SqliteStore::open(&directory.join("throng.db")).unwrap());
            store.migrate().await.unwrap();
            let last = watch::Sender::default();
            let answering = Answering::new(Arc::clone(&store) as _, last.subscribe());
            let followed = Followed::Recorded;
            let deliveries = Scripted { generation: 1, followed, fails: false, is_connected: true, looks: 0 };
            Self { store, last, answering, deliveries }
        }

        /// Begins a round, and gives the line time to look and to note what has been delivered to it.
        async fn round(&mut self, followed: Followed) {
            let number = self.store.begin_round(0).await.unwrap().number;
            self.last.send_if_modified(|known| known.read(number));
            self.deliveries.followed = followed;
            self.answering.go_on(&mut self.deliveries).await.unwrap();
            if self.answering.looked.is_some() {
                self.answering.due().await;
                self.answering.go_on(&mut self.deliveries).await.unwrap();
            }
        }

        /// The rounds at which lines joined, and those that they answered last.
        async fn answers(&self) -> Vec<(u64, u64)> {
            let answers = self.store.answers(0).await.unwrap();
            assert!(answers.iter().all(|answer| answer.consumers == 3 && answer.queue == "throng"));
            let mut rounds: Vec<_> = answers.iter().map(|answer| (answer.joined, answer.round)).collect();
            rounds.sort_unstable();
            rounds
        }
    }

    #[tokio::test]
    async fn a_line_answers_what_came_after_it_once_all_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(directory.path()).await;
        stage.round(Followed::Recorded).await;
        assert_eq!(stage.answers().await, [], "it wasn't there yet when the round was begun");
        stage.round(Followed::Waits).await;
        assert_eq!(stage.answers().await, [], "something is left");
        stage.deliveries.followed = Followed::Recorded;
        stage.answering.go_on(&mut stage.deliveries).await.unwrap();
        assert_eq!(stage.answers().await, [(1, 2)]);
        stage.round(Followed::Void).await;
        assert_eq!(stage.answers().await, [(1, 2)]);
        // On another connection it is another line.
        stage.deliveries.generation = 2;
        stage.round(Followed::Recorded).await;
        assert_eq!(stage.answers().await, [(1, 2)]);
        stage.round(Followed::Recorded).await;
        assert_eq!(stage.answers().await, [(1, 2), (4, 5)]);
    }

    #[tokio::test]
    async fn looks_that_fail_are_taken_seldom_on_whichever_connection() {
        let directory = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(directory.path()).await;
        stage.round(Followed::Recorded).await;
        stage.deliveries.fails = true;
        for failed in 1..=5 {
            for _ in 0..3 {
                stage.deliveries.prepare().await;
                // On a new connection it is a new line, which looks in the round after.
                stage.round(Followed::Recorded).await;
            }
            assert_eq!(stage.deliveries.looks, failed);
            let again_in = stage.answering.not_before.saturating_duration_since(Instant::now());
            let expected = Duration::from_secs([30, 60, 120, 240, 240][failed - 1]);
            assert!(again_in <= expected && again_in > expected / 2, "{again_in:?}");
            // As if so much time had passed.
            stage.answering.not_before = Instant::now();
        }
        stage.deliveries.fails = false;
        stage.deliveries.prepare().await;
        stage.round(Followed::Recorded).await;
        stage.round(Followed::Recorded).await;
        assert_eq!((stage.deliveries.looks, stage.answering.look_again), (6, LOOK_AGAIN_FIRST));
    }

    #[tokio::test]
    async fn a_line_forgets_its_look_when_the_database_was_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(directory.path()).await;
        for _ in 0..3 {
            stage.round(Followed::Recorded).await;
        }
        assert_eq!(stage.answers().await, [(1, 3)]);
        stage.round(Followed::Waits).await;
        // Its fourth round is lost, and another one gets that number.
        let lost = rusqlite::Connection::open(directory.path().join("throng.db")).unwrap();
        assert_eq!(lost.execute("UPDATE recording_round SET number = 3", []).unwrap(), 1);
        stage.last.send_if_modified(|known| known.read(3));
        stage.round(Followed::Recorded).await;
        assert_eq!(stage.answers().await, [(1, 3)], "it looked before that round was begun");
        stage.round(Followed::Recorded).await;
        assert_eq!(stage.answers().await, [(1, 3), (4, 5)], "another line");
    }

    #[test]
    fn a_number_that_goes_back_is_noticed() {
        let mut known = KnownRound::default();
        assert!(known.read(5) && !known.read(5) && known.read(4));
        assert_eq!(known, KnownRound { number: 4, breaks: 1 });
    }
}
