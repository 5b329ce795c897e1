//! Compares the votes that the server counted with those that it acknowledged.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, interval};

use crate::error::ResultError;
use crate::findings::Outcomes;

/// How often the result is read until it agrees.
const READ_EVERY: Duration = Duration::from_millis(250);

/// The votes as the clients saw them end, and as the server counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Votes {
    /// Those that the server acknowledged as counted.
    pub acknowledged: u64,
    /// Those that were certainly not counted.
    pub refused: u64,
    /// Those that may have been counted.
    pub unknown: u64,
    /// The sum of the server's result before the first.
    pub counted_before: u64,
    /// Its sum after the last; `None` if it can't be read.
    pub counted_after: Option<u64>,
    /// Whether all acknowledged votes were counted, and no others except unknown ones.
    pub agree: bool,
}

impl Votes {
    /// Reads the result until it agrees, or until `settle` is over.
    pub(crate) async fn settle(
        before: u64,
        outcomes: &Outcomes,
        settle: Duration,
        read: impl AsyncFn() -> Result<u64, ResultError>,
    ) -> Self {
        let (start, mut reads) = (Instant::now(), interval(READ_EVERY));
        loop {
            reads.tick().await;
            let votes = Self::compare(outcomes, before, read().await.ok());
            if votes.agree || start.elapsed() >= settle {
                return votes;
            }
        }
    }

    /// The votes in `outcomes`, with the result's sums before and after.
    fn compare(outcomes: &Outcomes, counted_before: u64, counted_after: Option<u64>) -> Self {
        let &Outcomes { acknowledged, refused, unknown, .. } = outcomes;
        let counted = counted_after.and_then(|after| after.checked_sub(counted_before));
        let agree = counted.is_some_and(|counted| (acknowledged..=acknowledged + unknown).contains(&counted));
        Self { acknowledged, refused, unknown, counted_before, counted_after, agree }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn outcomes(acknowledged: u64, unknown: u64) -> Outcomes {
        Outcomes { acknowledged, refused: 1, unknown, ..Outcomes::default() }
    }

    #[test]
    fn counts_agree_if_only_unknown_votes_are_added() {
        let agree = |after| Votes::compare(&outcomes(10, 2), 100, Some(after)).agree;
        assert!(!agree(109), "one was lost");
        assert!(agree(110) && agree(111) && agree(112));
        assert!(!agree(113), "one was counted that wasn't sent, or was refused");
        assert!(!agree(99), "the result went back");
    }

    #[tokio::test]
    async fn late_result_is_read_again_until_it_agrees() {
        let reads = Cell::new(0);
        let late = async || {
            reads.set(reads.get() + 1);
            Ok(if reads.get() < 3 { 5 } else { 8 })
        };
        let votes = Votes::settle(5, &outcomes(3, 0), Duration::MAX, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (true, Some(8), 3));
        reads.set(0);
        let votes = Votes::settle(5, &outcomes(3, 0), Duration::ZERO, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (false, Some(5), 1));
    }
}
