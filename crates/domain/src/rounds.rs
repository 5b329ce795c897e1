//! Rounds: how nodes behind a broker learn that every ballot accepted before a poll's close is recorded.
//!
//! A web node begins a round once all that was acknowledged before a close is on the queue. Each *consumer*, a worker's
//! consumer of the queue on one connection, then checks the queue, records what was delivered to it by then, and stores
//! a report. With a report from every consumer, nothing is left. Rounds and reports are in the database, which nodes
//! and workers share.
//!
//! # Why a complete round is enough
//!
//! Let `b` be a ballot that got a 2xx response before round `k` began. It was on the queue by then; suppose that it
//! isn't recorded.
//!
//! 1. Of the reports by which [`is_complete`] decides, take the one whose check came first. Every reporting consumer
//!    was a consumer before `k` began ([`ConsumerReport::joined`]), hence before that check, and still is: one that
//!    loses its connection can't report any more, and comes back as another consumer. They are as many as the queue had
//!    consumers at that check. So they are all of its consumers.
//! 2. That check found no dead letter, no client that reads dead letters, and no message ready on the queue. So `b` had been
//!    delivered to one of these consumers and not been acknowledged.
//! 3. That consumer's own check came at the same time or later. It reported only after all that had been delivered to
//!    it before its check was recorded and acknowledged. So `b` is recorded; or it was unreadable and set aside, and
//!    then the consumer didn't report this time, and a later check finds the dead letter.
//!
//! Nodes on one database may use several queues, at several brokers, each with workers of its own. A node registers its
//! queue before it accepts a ballot, so that all of them are known, and each of them has to be complete. A node without
//! a broker waits for them too.
//!
//! Consumers that never report, such as a worker of an earlier version or another program, are counted and delay the result. A
//! report to a later round is one to every earlier round: its check came later still.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// After how many rounds a report is deleted.
pub const REPORTS_KEPT: u64 = 100;

/// The longest name of a queue, in bytes, all of them ASCII.
pub const QUEUE_NAME_MAX: usize = 255;

/// Stores the number of the round and the consumers' reports.
#[async_trait]
pub trait Rounds: Send + Sync + std::fmt::Debug {
    /// Begins the next round; where the last one began less than `apart_ms` ago by the database's clock, returns that
    /// one instead. Its time is read from the database's clock before the round becomes visible, and is the same for
    /// every caller. It is never in the future by the database's clock.
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError>;

    /// The number of the last round; 0 before the first. Cheap enough for a query per second.
    async fn round(&self) -> Result<u64, StoreError>;

    /// Registers, permanently, that ballots for this database may be on the queue of this name.
    async fn add_queue(&self, name: &str) -> Result<(), StoreError>;

    /// The names of all registered queues, in order.
    async fn queues(&self) -> Result<Vec<String>, StoreError>;

    /// Stores a consumer's report in place of its last one. Reports that are more than [`REPORTS_KEPT`] rounds older are
    /// deleted. A report to a round that hasn't begun, whose number was lost when the database was restored, is not stored.
    async fn report(&self, report: &ConsumerReport) -> Result<(), StoreError>;

    /// Every consumer's last report, if it is to this round or a later one, in no particular order.
    async fn reports(&self, since: u64) -> Result<Vec<ConsumerReport>, StoreError>;
}

/// A round that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Counted from 1.
    pub number: u64,
    /// A time before it began, by the database's clock.
    pub began_at: Timestamp,
}

impl Round {
    /// Whether this is still the last round at `now`, where they begin `apart_ms` apart. A round in the future, after the
    /// database's clock was set back, is not.
    pub fn lasts(self, now: Timestamp, apart_ms: i64) -> bool {
        self.began_at <= now && now < self.began_at.plus_ms(apart_ms)
    }
}

/// The unique id of a consumer: a worker that loses a connection uses a new one.
pub type ConsumerId = [u8; 16];

/// What a consumer reports once all that was delivered to it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerReport {
    /// The consumer that reports.
    pub consumer: ConsumerId,
    /// The queue that it consumes.
    pub queue: String,
    /// The number of the last round when it was a consumer already.
    pub joined: u64,
    /// The last round that it knew of before its check.
    pub round: u64,
    /// The number of the queue's consumers at its check, itself included.
    pub consumers: u64,
}

/// Whether, by these reports, everything that was on these queues before `round` began is recorded: of each queue, all
/// consumers that had joined before it have reported, and each has counted just as many consumers.
pub fn is_complete(round: u64, queues: &[String], reports: &[ConsumerReport]) -> bool {
    let counts = |report: &ConsumerReport| report.joined < round && report.round >= round;
    let is_complete = |queue: &String| {
        let counted = || reports.iter().filter(|report| report.queue == *queue && counts(report));
        let consumers = counted().count() as u64;
        consumers > 0 && counted().all(|report| report.consumers == consumers)
    };
    !queues.is_empty() && queues.iter().all(is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(consumer: u8, joined: u64, round: u64, consumers: u64) -> ConsumerReport {
        ConsumerReport { consumer: [consumer; 16], queue: "a".to_owned(), joined, round, consumers }
    }

    fn is_complete(round: u64, reports: &[ConsumerReport]) -> bool {
        super::is_complete(round, &["a".to_owned()], reports)
    }

    #[test]
    fn all_consumers_have_to_report() {
        assert!(!is_complete(5, &[]));
        assert!(is_complete(5, &[report(1, 4, 5, 1)]));
        // There is another consumer, which hasn't reported or never does.
        assert!(!is_complete(5, &[report(1, 4, 5, 2)]));
        assert!(!is_complete(5, &[report(1, 4, 5, 2), report(2, 4, 4, 2)]));
        assert!(is_complete(5, &[report(1, 4, 5, 2), report(2, 0, 5, 2)]));
        // One joined or left between their checks.
        assert!(!is_complete(5, &[report(1, 4, 5, 2), report(2, 0, 5, 3)]));
        assert!(!is_complete(5, &[report(1, 4, 5, 1), report(2, 0, 5, 1)]));
    }

    #[test]
    fn consumer_that_joined_later_does_not_count() {
        let reports = [report(1, 4, 6, 2), report(2, 5, 6, 2)];
        assert!(!is_complete(5, &reports));
        assert!(is_complete(6, &reports));
    }

    #[test]
    fn every_queue_has_to_be_complete() {
        let queues = ["a", "b"].map(str::to_owned);
        let other = |consumers| ConsumerReport { queue: "b".to_owned(), ..report(2, 0, 5, consumers) };
        assert!(!super::is_complete(5, &queues, &[report(1, 0, 5, 1)]));
        assert!(!super::is_complete(5, &queues, &[report(1, 0, 5, 1), other(2)]));
        assert!(super::is_complete(5, &queues, &[report(1, 0, 5, 1), other(1)]));
        assert!(!super::is_complete(5, &[], &[report(1, 0, 5, 1), other(1)]));
    }

    #[test]
    fn round_lasts_from_its_beginning() {
        let round = Round { number: 1, began_at: Timestamp(5_000) };
        let lasts = [4_999, 5_000, 5_899, 5_900].map(|now| round.lasts(Timestamp(now), 900));
        assert_eq!(lasts, [false, true, true, false]);
        assert!(!round.lasts(Timestamp(5_000), 0));
    }

    #[test]
    fn report_counts_for_all_earlier_rounds() {
        let reports = [report(1, 2, 9, 2), report(2, 2, 7, 2)];
        let complete: Vec<u64> = (1..=10).filter(|round| is_complete(*round, &reports)).collect();
        assert_eq!(complete, [3, 4, 5, 6, 7]);
    }
}
