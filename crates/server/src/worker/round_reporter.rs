//! A consumer's part in rounds: reporting to the nodes that everything delivered to it is recorded.
//!
//! See [`throng_domain::rounds`] for what nodes conclude from the reports. Nothing here delays recording: the empty check of
//! the queue is short and runs between two batches, and the deliveries that the report then waits for are recorded as usual.

use std::sync::Arc;
use std::time::Duration;

use throng_domain::queue::{BallotConsumer, CheckProgress, EmptyCheck};
use throng_domain::rounds::{ConsumerId, ConsumerReport, Rounds};
use throng_domain::store::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tracing::debug;

/// The interval at which the number of the round is read.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How long after an empty check deliveries still count as delivered before it. In a cluster of brokers, messages are sent by
/// the member that the worker is connected to, which learns of a delivery slightly later than the leader, which responds to the
/// check.
const DELIVERED_WITHIN: Duration = Duration::from_secs(1);

/// The pause after an empty check that failed, which costs the connection; doubled after each further failure. The cause, such
/// as a missing permission, usually persists.
const CHECK_AGAIN_FIRST: Duration = Duration::from_secs(30);

/// The longest pause.
const CHECK_AGAIN_MAX: Duration = Duration::from_secs(240);

/// What is known about the last round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownRound {
    /// Its number.
    pub number: u64,
    /// How many times it may have decreased, as it does when the database is restored to an earlier state: a decrease was read,
    /// or the database couldn't be queried.
    pub breaks: u64,
}

impl KnownRound {
    /// Stores that this number was read; returns whether anything changed.
    fn read(&mut self, number: u64) -> bool {
        let breaks = self.breaks + u64::from(number < self.number);
        let read = Self { number, breaks };
        std::mem::replace(self, read) != read
    }
}

/// Reads the number of the round every second, for all consumers of a worker, for as long as it is polled.
pub async fn watch_rounds(store: Arc<dyn Rounds>, last: watch::Sender<KnownRound>) {
    let mut tick = tokio::time::interval(READ_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match store.round().await {
            Ok(round) => {
                last.send_if_modified(|known| known.read(round));
            }
            // Logged only for debugging: recording logs that the store is unavailable.
            Err(error) => {
                debug!(%error, "the round number can't be read");
                last.send_modify(|known| known.breaks += 1);
            }
        }
    }
}

/// Checks the queue and stores the reports of one consumer.
#[derive(Debug)]
pub(super) struct RoundReporter {
    store: Arc<dyn Rounds>,
    rounds: watch::Receiver<KnownRound>,
    /// The consumer's state on the current connection.
    consumer: Option<ConsumerState>,
    pending: Option<PendingReport>,
    /// The last round that was tried, whatever the outcome.
    tried: KnownRound,
    /// No empty check before this time.
    not_before: Instant,
    /// The pause after the next empty check that fails.
    check_again: Duration,
}

/// A consumer on one connection.
#[derive(Clone, Debug)]
struct ConsumerState {
    id: ConsumerId,
    queue: String,
    generation: u64,
    joined: u64,
}

/// A report that, after a successful empty check, waits until everything delivered before the check is recorded.
#[derive(Clone, Copy, Debug)]
struct PendingReport {
    check: EmptyCheck,
    round: u64,
    at: Instant,
    is_bound: bool,
}

impl RoundReporter {
    /// The reporter of a consumer that records in `store`.
    pub(super) fn new(store: Arc<dyn Rounds>, rounds: watch::Receiver<KnownRound>) -> Self {
        let (not_before, check_again) = (Instant::now(), CHECK_AGAIN_FIRST);
        Self { store, rounds, consumer: None, pending: None, tried: KnownRound::default(), not_before, check_again }
    }

    /// Completes when there is something to do even if nothing is delivered.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let (mut rounds, tried, pending, not_before) = (self.rounds.clone(), self.tried, self.pending, self.not_before);
        async move {
            match pending {
                // The deliveries that it waits for are recorded first.
                Some(PendingReport { is_bound: true, .. }) => std::future::pending().await,
                Some(PendingReport { at, .. }) => sleep_until(at + DELIVERED_WITHIN).await,
                None => {
                    sleep_until(not_before).await;
                    if rounds.wait_for(|round| *round != tried).await.is_err() {
                        std::future::pending().await
                    }
                }
            }
        }
    }

    /// Does what can be done between two batches. If the store can't accept a report now, a later round is reported instead.
    ///
    /// # Errors
    /// Those that only an operator can resolve.
    pub(super) async fn advance(&mut self, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        match self.step(deliveries).await {
            Err(error) if error.is_retryable() => {
                debug!(%error, "a round report isn't stored");
                self.pending = None;
                Ok(())
            }
            done => done,
        }
    }

    async fn step(&mut self, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        let round = *self.rounds.borrow();
        if round.breaks != self.tried.breaks {
            // Another round may have the number of the one that was checked for, or a lower number than that at which this
            // consumer joined.
            (self.consumer, self.pending) = (None, None);
        }
        if let Some(pending) = self.pending {
            self.pending = self.follow(pending, deliveries).await?;
        }
        if self.pending.is_none() && round != self.tried && self.not_before <= Instant::now() {
            self.tried = round;
            self.check_empty(round.number, deliveries).await?;
        }
        Ok(())
    }

    /// Begins a report to `round`, if this consumer had joined before it and no message is on the queues.
    async fn check_empty(&mut self, round: u64, deliveries: &mut dyn BallotConsumer) -> Result<(), StoreError> {
        let Some(generation) = deliveries.generation() else { return Ok(()) };
        let queue = deliveries.queue().to_owned();
        if round > self.joined(generation, queue).await? {
            let check = deliveries.check_empty().await.filter(|check| check.generation == generation);
            self.pending = check.map(|check| PendingReport { check, round, at: Instant::now(), is_bound: false });
            if deliveries.generation().is_some() {
                self.check_again = CHECK_AGAIN_FIRST;
            } else {
                self.not_before = Instant::now() + self.check_again;
                self.check_again = (self.check_again * 2).min(CHECK_AGAIN_MAX);
            }
        }
        Ok(())
    }

    /// The round at which this consumer joined. On a connection that wasn't known before, it is a new consumer, which has
    /// joined before the round's number is read here.
    async fn joined(&mut self, generation: u64, queue: String) -> Result<u64, StoreError> {
        if let Some(consumer) = self.consumer.as_ref().filter(|consumer| consumer.generation == generation) {
            return Ok(consumer.joined);
        }
        let joined = self.store.round().await?;
        self.consumer = Some(ConsumerState { id: rand::random(), queue, generation, joined });
        Ok(joined)
    }

    /// Stores the report if everything delivered before the empty check is recorded; returns it if it must wait longer.
    async fn follow(
        &self,
        mut pending: PendingReport,
        deliveries: &mut dyn BallotConsumer,
    ) -> Result<Option<PendingReport>, StoreError> {
        if !pending.is_bound {
            if pending.at.elapsed() < DELIVERED_WITHIN {
                return Ok(Some(pending));
            }
            deliveries.set_bound(&mut pending.check).await;
            pending.is_bound = true;
        }
        match deliveries.progress(&pending.check) {
            CheckProgress::Pending => Ok(Some(pending)),
            CheckProgress::Invalid => Ok(None),
            CheckProgress::Recorded => {
                if let Some(ConsumerState { id: consumer, queue, joined, .. }) = self.consumer.clone() {
                    let (round, consumers) = (pending.round, pending.check.consumers);
                    self.store.report(&ConsumerReport { consumer, queue, joined, round, consumers }).await?;
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
    use throng_domain::store::Schema as _;

    use super::*;

    /// A consumer that delivers nothing, with configured results of empty checks.
    #[derive(Debug)]
    struct ScriptedConsumer {
        generation: u64,
        followed: CheckProgress,
        /// Whether empty checks fail; connecting succeeds.
        fails: bool,
        is_connected: bool,
        checks: usize,
    }

    #[async_trait]
    impl BallotConsumer for ScriptedConsumer {
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

        async fn check_empty(&mut self) -> Option<EmptyCheck> {
            self.checks += 1;
            self.is_connected = !self.fails;
            self.is_connected.then_some(EmptyCheck {
                generation: self.generation,
                consumers: 3,
                unreadable: 0,
                last: 0,
            })
        }

        async fn set_bound(&mut self, _: &mut EmptyCheck) {}

        fn progress(&self, _: &EmptyCheck) -> CheckProgress {
            self.followed
        }
    }

    /// A consumer with its store, and the rounds that it receives.
    struct Fixture {
        store: Arc<SqliteStore>,
        last: watch::Sender<KnownRound>,
        reporter: RoundReporter,
        deliveries: ScriptedConsumer,
    }

    impl Fixture {
        /// A consumer on the store in this directory.
        async fn new(directory: &Path) -> Self {
            let store = Arc::new(SqliteStore::open(&directory.join("throng.db")).unwrap());
            store.migrate().await.unwrap();
            let last = watch::Sender::default();
            let reporter = RoundReporter::new(Arc::clone(&store) as _, last.subscribe());
            let followed = CheckProgress::Recorded;
            let deliveries = ScriptedConsumer { generation: 1, followed, fails: false, is_connected: true, checks: 0 };
            Self { store, last, reporter, deliveries }
        }

        /// Begins a round, and waits until the consumer has run its empty check and bounded its deliveries.
        async fn round(&mut self, followed: CheckProgress) {
            let number = self.store.begin_round(0).await.unwrap().number;
            self.last.send_if_modified(|known| known.read(number));
            self.deliveries.followed = followed;
            self.reporter.advance(&mut self.deliveries).await.unwrap();
            if self.reporter.pending.is_some() {
                self.reporter.due().await;
                self.reporter.advance(&mut self.deliveries).await.unwrap();
            }
        }

        /// For each consumer, the round at which it joined and the last round that it reported.
        async fn reports(&self) -> Vec<(u64, u64)> {
            let reports = self.store.reports(0).await.unwrap();
            assert!(reports.iter().all(|report| report.consumers == 3 && report.queue == "throng"));
            let mut rounds: Vec<_> = reports.iter().map(|report| (report.joined, report.round)).collect();
            rounds.sort_unstable();
            rounds
        }
    }

    #[tokio::test]
    async fn consumer_reports_later_rounds_once_all_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(directory.path()).await;
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!(fixture.reports().await, [], "it joined after the round had begun");
        fixture.round(CheckProgress::Pending).await;
        assert_eq!(fixture.reports().await, [], "a delivery isn't recorded");
        fixture.deliveries.followed = CheckProgress::Recorded;
        fixture.reporter.advance(&mut fixture.deliveries).await.unwrap();
        assert_eq!(fixture.reports().await, [(1, 2)]);
        fixture.round(CheckProgress::Invalid).await;
        assert_eq!(fixture.reports().await, [(1, 2)]);
        // A new connection makes it a new consumer.
        fixture.deliveries.generation = 2;
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!(fixture.reports().await, [(1, 2)]);
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!(fixture.reports().await, [(1, 2), (4, 5)]);
    }

    #[tokio::test]
    async fn failing_empty_checks_back_off_across_connections() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(directory.path()).await;
        fixture.round(CheckProgress::Recorded).await;
        fixture.deliveries.fails = true;
        for failed in 1..=5 {
            for _ in 0..3 {
                fixture.deliveries.prepare().await;
                // A new connection makes it a new consumer, which checks in the round after.
                fixture.round(CheckProgress::Recorded).await;
            }
            assert_eq!(fixture.deliveries.checks, failed);
            let again_in = fixture.reporter.not_before.saturating_duration_since(Instant::now());
            let expected = Duration::from_secs([30, 60, 120, 240, 240][failed - 1]);
            assert!(again_in <= expected && again_in > expected / 2, "{again_in:?}");
            // As if this time had passed.
            fixture.reporter.not_before = Instant::now();
        }
        fixture.deliveries.fails = false;
        fixture.deliveries.prepare().await;
        fixture.round(CheckProgress::Recorded).await;
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!((fixture.deliveries.checks, fixture.reporter.check_again), (6, CHECK_AGAIN_FIRST));
    }

    #[tokio::test]
    async fn restored_database_discards_the_empty_check() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(directory.path()).await;
        for _ in 0..3 {
            fixture.round(CheckProgress::Recorded).await;
        }
        assert_eq!(fixture.reports().await, [(1, 3)]);
        fixture.round(CheckProgress::Pending).await;
        // The database's fourth round is lost, and another round gets that number.
        let lost = rusqlite::Connection::open(directory.path().join("throng.db")).unwrap();
        assert_eq!(lost.execute("UPDATE recording_round SET number = 3", []).unwrap(), 1);
        fixture.last.send_if_modified(|known| known.read(3));
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!(fixture.reports().await, [(1, 3)], "its check was before that round began");
        fixture.round(CheckProgress::Recorded).await;
        assert_eq!(fixture.reports().await, [(1, 3), (4, 5)], "a new consumer");
    }

    #[test]
    fn decreasing_round_number_is_detected() {
        let mut known = KnownRound::default();
        assert!(known.read(5) && !known.read(5) && known.read(4));
        assert_eq!(known, KnownRound { number: 4, breaks: 1 });
    }
}
