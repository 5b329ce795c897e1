//! Compares the votes that the server counted with those that it acknowledged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, interval, timeout};

use crate::connection::Connection;
use crate::error::{ExchangeError, ResultError};
use crate::findings::Outcomes;
use crate::response::Response;
use crate::target::Target;

/// How often the result is read until it agrees.
const READ_EVERY: Duration = Duration::from_millis(250);

/// The server's result: votes by option.
#[derive(Debug)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads the server's result.
    ///
    /// # Errors
    /// If it doesn't respond with a result within `response_max`.
    pub(crate) async fn read(
        target: &Target,
        address: SocketAddr,
        response_max: Duration,
    ) -> Result<Self, ResultError> {
        let exchange = async {
            let mut connection = Connection::open(address).await.map_err(ExchangeError::Unconnected)?;
            connection.exchange(&target.result()).await.map_err(ExchangeError::Failed)
        };
        let route = format!("{target}/api/result");
        let response = timeout(response_max, exchange).await.unwrap_or(Err(ExchangeError::TimedOut));
        match response {
            Err(source) => Err(ResultError::NoResponse { route, source }),
            Ok(Response { status: 200, body, .. }) => {
                Self::parse(&body).map_err(|source| ResultError::Unreadable { route, source })
            }
            Ok(Response { status, .. }) => Err(ResultError::Status { route, status }),
        }
    }

    fn parse(body: &[u8]) -> serde_json::Result<Self> {
        // Option ids are integers; as JSON keys they are strings.
        let counts: BTreeMap<u64, u64> = serde_json::from_slice(body)?;
        Ok(Self(counts.into_iter().map(|(option, count)| (option.to_string(), count)).collect()))
    }

    /// The ids of the options.
    pub(crate) fn options(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of all votes: each vote of a load is for one option.
    fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

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
        before: &Counts,
        outcomes: &Outcomes,
        settle: Duration,
        read: impl AsyncFn() -> Result<Counts, ResultError>,
    ) -> Self {
        let (start, mut reads) = (Instant::now(), interval(READ_EVERY));
        loop {
            reads.tick().await;
            let after = read().await.ok().map(|counts| counts.sum());
            let votes = Self::compare(outcomes, before.sum(), after);
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
    fn a_result_is_votes_by_option() {
        let counts = Counts::parse(br#"{"1":4,"2":0,"10":9}"#).unwrap();
        assert_eq!(counts.options().collect::<Vec<_>>(), ["1", "10", "2"]);
        assert_eq!(counts.sum(), 13);
        for body in ["", "[]", r#"{"a":1}"#, r#"{"1":-1}"#, r#"{"1":"x"}"#] {
            assert!(Counts::parse(body.as_bytes()).is_err(), "{body}");
        }
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
        let before = Counts::parse(br#"{"1":5}"#).unwrap();
        let reads = Cell::new(0);
        let late = async || {
            reads.set(reads.get() + 1);
            Ok(Counts::parse(if reads.get() < 3 { br#"{"1":5}"# } else { br#"{"1":8}"# }).unwrap())
        };
        let votes = Votes::settle(&before, &outcomes(3, 0), Duration::MAX, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (true, Some(8), 3));
        reads.set(0);
        let votes = Votes::settle(&before, &outcomes(3, 0), Duration::ZERO, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (false, Some(5), 1));
    }
}
