//! Rounds: how it becomes known, behind a broker, that nothing can come any more which arrived before a poll's close.
//!
//! A web node begins a round once all that was answered before a close is on the queue. Each *line*, a worker's consumer of
//! the queue on one connection, then looks at the queue, records what it had been delivered by then, and answers. When all
//! lines have, there is nothing left. Rounds and answers are in the database, which nodes and workers share.
//!
//! # Why a complete round is enough
//!
//! Let `b` be a ballot that was answered with 2xx before round `k` was begun. It was on the queue by then; suppose that it
//! isn't recorded.
//!
//! 1. Of the answers by which [`is_complete`] judges, take the one whose look came first. Every line that answered was a
//!    consumer before `k` was begun ([`Answer::joined`]), hence before that look, and still is, since one that loses its
//!    connection can't answer any more and comes back as another line. They are as many as the queue had consumers at
//!    that look. So they are all of its consumers.
//! 2. That look found no dead letter, nobody who goes through them, and nothing on the queue that waits. So `b` had been
//!    delivered to one of these lines and not been acknowledged.
//! 3. That line's own look came at the same time or later. It answered only after all that had been delivered to it before
//!    its look was recorded and acknowledged. So `b` is recorded; or it couldn't be read and was set aside, and then the
//!    line didn't answer this time, and a later look finds the dead letter.
//!
//! Nodes on one database may use several queues, at several brokers, each with workers of its own. A node notes its queue before it
//! takes a ballot, so that all of them are known, and each of them has to be complete. Also for a node that has no broker itself.
//!
//! Consumers that never answer, a worker of an earlier version or a stranger, are counted and hold the result as well. An
//! answer to a later round is one to all before it: its look came later still.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// After how many rounds an answer is forgotten.
pub const ANSWERS_KEPT: u64 = 100;

/// The most bytes that the name of a queue has, all of them ASCII.
pub const QUEUE_NAME_MAX: usize = 255;

/// Keeps the number of the round and the lines' answers.
#[async_trait]
pub trait Rounds: Send + Sync + std::fmt::Debug {
    /// Begins the next round; where the last one was begun less than `apart_ms` ago by the database's clock, returns that one
    /// instead. Its moment is read from the database's clock before it can be seen that it has begun, and is the one that counts,
    /// whoever began it. It is never after the database's present time.
    async fn begin_round(&self, apart_ms: i64) -> Result<Round, StoreError>;

    /// The number of the last round that was begun; 0 before the first. Cheap enough to be asked every second.
    async fn round(&self) -> Result<u64, StoreError>;

    /// Notes that ballots for this database may be on the queue of this name, for good.
    async fn add_queue(&self, name: &str) -> Result<(), StoreError>;

    /// The names of all queues that were noted, in order.
    async fn queues(&self) -> Result<Vec<String>, StoreError>;

    /// Stores a line's answer in the place of its last one. Answers that are more than [`ANSWERS_KEPT`] rounds older go. An answer
    /// to a round that has not begun, by a number which was lost when the database was put back, is not stored.
    async fn answer(&self, answer: &Answer) -> Result<(), StoreError>;

    /// Every line's last answer that is to this round or a later one, in no promised order.
    async fn answers(&self, since: u64) -> Result<Vec<Answer>, StoreError>;
}

/// A round that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Counted from 1.
    pub number: u64,
    /// A moment before it was begun, by the database's clock.
    pub began_at: Timestamp,
}

impl Round {
    /// Whether this is still the last round at `now`, when they are begun `apart_ms` apart. After the database's clock was set
    /// back, a round whose moment is yet to come is not.
    pub fn lasts(self, now: Timestamp, apart_ms: i64) -> bool {
        self.began_at <= now && now < self.began_at.plus_ms(apart_ms)
    }
}

/// The name of a line. No other has it: a worker that loses a connection takes a new one.
pub type LineId = [u8; 16];

/// What a line tells once it has recorded what it had been delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who tells it.
    pub line: LineId,
    /// The queue that it takes from.
    pub queue: String,
    /// The number of the last round when it was a consumer already.
    pub joined: u64,
    /// The last round that it knew of before its look.
    pub round: u64,
    /// The queue's consumers at its look, itself included.
    pub consumers: u64,
}

/// Whether, by these answers, nothing that was on these queues before `round` was begun is left: of each of them all lines that
/// were consumers before it have answered, and each has found just as many consumers.
pub fn is_complete(round: u64, queues: &[String], answers: &[Answer]) -> bool {
    let counts = |answer: &Answer| answer.joined < round && answer.round >= round;
    let is_complete = |queue: &String| {
        let counted = || answers.iter().filter(|answer| answer.queue == *queue && counts(answer));
        let lines = counted().count() as u64;
        lines > 0 && counted().all(|answer| answer.consumers == lines)
    };
    !queues.is_empty() && queues.iter().all(is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: u8, joined: u64, round: u64, consumers: u64) -> Answer {
        Answer { line: [line; 16], queue: "a".to_owned(), joined, round, consumers }
    }

    fn is_complete(round: u64, answers: &[Answer]) -> bool {
        super::is_complete(round, &["a".to_owned()], answers)
    }

    #[test]
    fn all_consumers_have_to_answer() {
        assert!(!is_complete(5, &[]));
        assert!(is_complete(5, &[answer(1, 4, 5, 1)]));
        // Another consumer is there that doesn't answer, or hasn't yet.
        assert!(!is_complete(5, &[answer(1, 4, 5, 2)]));
        assert!(!is_complete(5, &[answer(1, 4, 5, 2), answer(2, 4, 4, 2)]));
        assert!(is_complete(5, &[answer(1, 4, 5, 2), answer(2, 0, 5, 2)]));
        // One came or went between their looks.
        assert!(!is_complete(5, &[answer(1, 4, 5, 2), answer(2, 0, 5, 3)]));
        assert!(!is_complete(5, &[answer(1, 4, 5, 1), answer(2, 0, 5, 1)]));
    }

    #[test]
    fn a_line_that_came_later_does_not_count() {
        let answers = [answer(1, 4, 6, 2), answer(2, 5, 6, 2)];
        assert!(!is_complete(5, &answers));
        assert!(is_complete(6, &answers));
    }

    #[test]
    fn every_queue_has_to_be_complete() {
        let queues = ["a", "b"].map(str::to_owned);
        let other = |consumers| Answer { queue: "b".to_owned(), ..answer(2, 0, 5, consumers) };
        assert!(!super::is_complete(5, &queues, &[answer(1, 0, 5, 1)]));
        assert!(!super::is_complete(5, &queues, &[answer(1, 0, 5, 1), other(2)]));
        assert!(super::is_complete(5, &queues, &[answer(1, 0, 5, 1), other(1)]));
        assert!(!super::is_complete(5, &[], &[answer(1, 0, 5, 1), other(1)]));
    }

    #[test]
    fn a_round_lasts_for_a_while_and_not_from_before_it_began() {
        let round = Round { number: 1, began_at: Timestamp(5_000) };
        let lasts = [4_999, 5_000, 5_899, 5_900].map(|now| round.lasts(Timestamp(now), 900));
        assert_eq!(lasts, [false, true, true, false]);
        assert!(!round.lasts(Timestamp(5_000), 0));
    }

    #[test]
    fn an_answer_is_one_to_all_rounds_before_it() {
        let answers = [answer(1, 2, 9, 2), answer(2, 2, 7, 2)];
        let complete: Vec<u64> = (1..=10).filter(|round| is_complete(*round, &answers)).collect();
        assert_eq!(complete, [3, 4, 5, 6, 7]);
    }
}
