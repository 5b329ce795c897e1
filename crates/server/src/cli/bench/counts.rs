//! Compares the votes that the server counted with those that it acknowledged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::time::{Instant, interval, timeout};

use super::connection::Connection;
use super::findings::Figures;
use super::target::Target;

/// How often the result is read until it agrees.
const READ_EVERY: Duration = Duration::from_millis(250);

/// The server's result: votes by option.
#[derive(Debug)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads the server's result.
    ///
    /// # Errors
    /// If it doesn't respond with a result within `response_max`.
    pub(super) async fn read(target: &Target, address: SocketAddr, response_max: Duration) -> anyhow::Result<Self> {
        let exchange = async {
            let mut connection = Connection::open(address).await.context("there is no connection")?;
            let response = connection.exchange(&target.result()).await;
            response.map_err(|failure| anyhow::anyhow!("the request was {}", failure.name()))
        };
        let route = format!("{target}/api/result");
        let response = timeout(response_max, exchange).await.with_context(|| format!("{route} doesn't respond"))?;
        let response = response.with_context(|| format!("{route} doesn't respond"))?;
        if response.status != 200 {
            bail!("{route} responds with status {}; is this a poll server?", response.status);
        }
        Self::parse(&response.body).with_context(|| format!("{route} doesn't respond with votes by option"))
    }

    fn parse(body: &[u8]) -> serde_json::Result<Self> {
        // Option ids are integers; as JSON keys they are strings.
        let counts: BTreeMap<u64, u64> = serde_json::from_slice(body)?;
        Ok(Self(counts.into_iter().map(|(option, count)| (option.to_string(), count)).collect()))
    }

    /// The ids of the options.
    pub(super) fn options(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of all votes: each vote of the bench is for one option.
    fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The votes as the bench recorded them, and as the server counted them.
#[derive(Debug, Serialize)]
pub(super) struct Votes {
    /// Those that the server acknowledged as counted.
    pub(super) acknowledged: u64,
    /// Those that were certainly not counted.
    pub(super) refused: u64,
    /// Those that may have been counted.
    pub(super) unknown: u64,
    /// The sum of the server's result before the first.
    pub(super) counted_before: u64,
    /// Its sum after the last; `None` if it can't be read.
    pub(super) counted_after: Option<u64>,
    /// Whether all acknowledged votes were counted, and no others except unknown ones.
    pub(super) agree: bool,
}

impl Votes {
    /// Reads the result until it agrees, or until `settle` is over.
    pub(super) async fn settle(
        before: &Counts,
        figures: &Figures,
        settle: Duration,
        read: impl AsyncFn() -> anyhow::Result<Counts>,
    ) -> Self {
        let (start, mut reads) = (Instant::now(), interval(READ_EVERY));
        loop {
            reads.tick().await;
            let after = read().await.ok().map(|counts| counts.sum());
            let votes = Self::compare(figures, before.sum(), after);
            if votes.agree || start.elapsed() >= settle {
                return votes;
            }
        }
    }

    /// The votes in `figures`, with the result's sums before and after.
    pub(super) fn compare(figures: &Figures, counted_before: u64, counted_after: Option<u64>) -> Self {
        let &Figures { acknowledged, refused, unknown, .. } = figures;
        let counted = counted_after.and_then(|after| after.checked_sub(counted_before));
        let agree = counted.is_some_and(|counted| (acknowledged..=acknowledged + unknown).contains(&counted));
        Self { acknowledged, refused, unknown, counted_before, counted_after, agree }
    }

    /// The fault, if there is one.
    pub(super) fn fault(&self) -> Option<String> {
        let Self { acknowledged, unknown, counted_before, counted_after, agree, .. } = self;
        let Some(after) = counted_after else {
            return Some(
                "the result can't be read after the last vote, so nothing is known about the count".to_owned(),
            );
        };
        (!agree).then(|| {
            let acknowledged =
                if *acknowledged == 1 { "1 vote was".to_owned() } else { format!("{acknowledged} votes were") };
            format!(
                "the count is wrong: {acknowledged} acknowledged and {unknown} may have been counted, but \
                 the result went from {counted_before} to {after}; if others voted meanwhile, run the bench alone; if \
                 the server shows its result late, give it longer with --settle"
            )
        })
    }
}

impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, refused, unknown, counted_before, counted_after, agree } = self;
        write!(f, "{acknowledged} acknowledged, {refused} refused, {unknown} unknown; ")?;
        let Some(after) = counted_after else { return write!(f, "what the server counted can't be read") };
        let verdict = if *agree { "right" } else { "WRONG" };
        let counted = i128::from(*after) - i128::from(*counted_before);
        write!(f, "the server counted {counted} (from {counted_before} to {after}): {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::findings::{Ending, Failure, Findings};
    use super::*;

    fn figures(acknowledged: u64, unknown: u64) -> Figures {
        let findings = Findings::new().unwrap();
        (0..acknowledged).for_each(|_| findings.record(Ending::Acknowledged { status: 200 }, Duration::ZERO));
        (0..unknown).for_each(|_| findings.record(Ending::Failed(Failure::Cut), Duration::ZERO));
        findings.record(Ending::Refused { status: 503 }, Duration::ZERO);
        findings.figures()
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
        let agree = |after| Votes::compare(&figures(10, 2), 100, Some(after)).agree;
        assert!(!agree(109), "one was lost");
        assert!(agree(110) && agree(111) && agree(112));
        assert!(!agree(113), "one was counted that wasn't sent, or was refused");
        assert!(!agree(99), "the result went back");
    }

    #[test]
    fn wrong_count_is_reported_with_its_numbers() {
        let fault = Votes::compare(&figures(10, 2), 100, Some(100)).fault().unwrap();
        assert!(fault.contains("10 votes were acknowledged and 2 may") && fault.contains("from 100 to 100"), "{fault}");
        let fault = Votes::compare(&figures(1, 0), 100, Some(100)).fault().unwrap();
        assert!(fault.contains("1 vote was acknowledged"), "{fault}");
        assert!(Votes::compare(&figures(10, 2), 100, None).fault().is_some());
        assert_eq!(Votes::compare(&figures(10, 2), 100, Some(110)).fault(), None);
    }

    #[tokio::test]
    async fn late_result_is_read_again_until_it_agrees() {
        let before = Counts::parse(br#"{"1":5}"#).unwrap();
        let reads = Cell::new(0);
        let late = async || {
            reads.set(reads.get() + 1);
            Counts::parse(if reads.get() < 3 { br#"{"1":5}"# } else { br#"{"1":8}"# }).context("no result")
        };
        let votes = Votes::settle(&before, &figures(3, 0), Duration::MAX, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (true, Some(8), 3));
        reads.set(0);
        let votes = Votes::settle(&before, &figures(3, 0), Duration::ZERO, late).await;
        assert_eq!((votes.agree, votes.counted_after, reads.get()), (false, Some(5), 1));
    }
}
