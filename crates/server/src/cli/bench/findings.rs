//! The outcomes of the votes: recorded as they arrive, read at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is distinguished from longer ones, in microseconds: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Significant digits of recorded latencies.
const LATENCY_DIGITS: u8 = 3;

/// How a vote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server reported that it counted the vote.
    Acknowledged { status: u16 },
    /// The server reported that it didn't.
    Refused { status: u16 },
    /// The server reported that the outcome is unknown.
    InDoubt { status: u16 },
    /// There was no response.
    Failed(Failure),
}

/// Why there was no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    /// The connection ended with the vote in flight.
    Cut,
    /// The vote was sent, and timed out before the response.
    Unanswered,
    /// The response isn't HTTP/1.1.
    Unreadable,
    /// There was no connection to send it on.
    Unconnected,
    /// No client was free to send it before it timed out.
    Unsent,
}

/// The outcomes of the votes so far.
#[derive(Debug)]
pub(super) struct Findings(Mutex<Figures>);

/// The outcomes of all votes.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// In microseconds, of all votes that received a response or timed out. One that timed out counts with the time waited,
    /// so that a server can't appear faster by not responding.
    pub(super) latency: Histogram<u64>,
    /// How many received a response, by status.
    pub(super) responses: BTreeMap<u16, u64>,
    /// How many did not, by reason.
    pub(super) failures: BTreeMap<Failure, u64>,
    /// How many the server reported as counted.
    pub(super) acknowledged: u64,
    /// How many were certainly not counted.
    pub(super) refused: u64,
    /// How many may have been counted.
    pub(super) unknown: u64,
}

impl Failure {
    /// The failure in one word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Unanswered => "unanswered",
            Self::Unreadable => "unreadable",
            Self::Unconnected => "unconnected",
            Self::Unsent => "unsent",
        }
    }
}

impl Findings {
    /// No outcomes yet.
    ///
    /// # Errors
    /// If the histogram rejects the bounds, which it doesn't with these.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Figures {
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS)?,
            responses: BTreeMap::new(),
            failures: BTreeMap::new(),
            acknowledged: 0,
            refused: 0,
            unknown: 0,
        })))
    }

    /// Records how a vote ended, and how long that took.
    pub(super) fn record(&self, ending: Ending, latency: Duration) {
        let mut figures = self.lock();
        match ending {
            Ending::Acknowledged { status } => {
                figures.acknowledged += 1;
                figures.responded(status, latency);
            }
            Ending::Refused { status } => {
                figures.refused += 1;
                figures.responded(status, latency);
            }
            Ending::InDoubt { status } => {
                figures.unknown += 1;
                figures.responded(status, latency);
            }
            Ending::Failed(failure) => figures.failed(failure, latency),
        }
    }

    /// How many votes have ended, and how many of them were not acknowledged.
    pub(super) fn ended(&self) -> (u64, u64) {
        let figures = self.lock();
        (figures.votes(), figures.votes() - figures.acknowledged)
    }

    /// The outcomes of all votes.
    pub(super) fn figures(&self) -> Figures {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    /// How many votes have ended.
    pub(super) fn votes(&self) -> u64 {
        self.response_count() + self.failures.values().sum::<u64>()
    }

    /// How many received a response, whatever its status.
    pub(super) fn response_count(&self) -> u64 {
        self.responses.values().sum()
    }

    /// The latency that `percent` of the votes had at most.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(percent / 100.0))
    }

    fn responded(&mut self, status: u16, latency: Duration) {
        *self.responses.entry(status).or_default() += 1;
        self.record_latency(latency);
    }

    fn failed(&mut self, failure: Failure, latency: Duration) {
        *self.failures.entry(failure).or_default() += 1;
        match failure {
            Failure::Unanswered => {
                self.unknown += 1;
                self.record_latency(latency);
            }
            Failure::Unsent => {
                self.refused += 1;
                self.record_latency(latency);
            }
            Failure::Cut | Failure::Unreadable => self.unknown += 1,
            Failure::Unconnected => self.refused += 1,
        }
    }

    fn record_latency(&mut self, latency: Duration) {
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vote_is_acknowledged_refused_or_unknown() {
        let findings = Findings::new().unwrap();
        let endings = [
            Ending::Acknowledged { status: 200 },
            Ending::Refused { status: 503 },
            Ending::InDoubt { status: 500 },
            Ending::Failed(Failure::Cut),
            Ending::Failed(Failure::Unanswered),
            Ending::Failed(Failure::Unreadable),
            Ending::Failed(Failure::Unconnected),
            Ending::Failed(Failure::Unsent),
        ];
        for (n, ending) in (1..).zip(endings) {
            findings.record(ending, Duration::from_secs(n));
        }
        assert_eq!(findings.ended(), (8, 7));
        let figures = findings.figures();
        assert_eq!((figures.acknowledged, figures.refused, figures.unknown), (1, 3, 4));
        assert_eq!(figures.responses, BTreeMap::from([(200, 1), (500, 1), (503, 1)]));
        assert_eq!(figures.failures.len(), 5);
    }

    #[test]
    fn timed_out_vote_counts_with_the_time_waited() {
        let findings = Findings::new().unwrap();
        findings.record(Ending::Acknowledged { status: 200 }, Duration::from_millis(1));
        findings.record(Ending::Failed(Failure::Unanswered), Duration::from_secs(10));
        findings.record(Ending::Failed(Failure::Unsent), Duration::from_secs(10));
        findings.record(Ending::Failed(Failure::Unconnected), Duration::ZERO);
        let figures = findings.figures();
        assert_eq!(figures.latency.len(), 3);
        assert!(figures.percentile(100.0) >= Duration::from_millis(9_990), "{:?}", figures.percentile(100.0));
        assert!(figures.percentile(30.0) <= Duration::from_micros(1_001));
    }
}
