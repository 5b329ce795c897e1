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
pub(crate) enum Ending {
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
pub enum Failure {
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
pub struct Findings(Mutex<Recorded>);

/// What is recorded of the votes.
#[derive(Debug)]
struct Recorded {
    outcomes: Outcomes,
    /// In microseconds.
    latency: Histogram<u64>,
}

/// How votes ended, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// How many received a response, by status.
    pub responses: BTreeMap<u16, u64>,
    /// How many did not, by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// How many the server reported as counted.
    pub acknowledged: u64,
    /// How many were certainly not counted.
    pub refused: u64,
    /// How many may have been counted.
    pub unknown: u64,
}

/// Latencies of all votes that received a response or timed out, with three significant digits. One that timed out counts with
/// the time waited, so that a server can't appear faster by not responding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Half of the votes had this latency at most.
    pub p50: Duration,
    /// 90 % of them.
    pub p90: Duration,
    /// 99 % of them.
    pub p99: Duration,
    /// 99.9 % of them.
    pub p99_9: Duration,
    /// The longest.
    pub max: Duration,
}

impl Failure {
    /// The failure in one word.
    pub fn name(self) -> &'static str {
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
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS);
        let latency = latency.expect("the bounds are more than a factor of two apart, and the digits five at most");
        Self(Mutex::new(Recorded { outcomes: Outcomes::default(), latency }))
    }

    /// Records how a vote ended, and how long that took.
    pub(crate) fn record(&self, ending: Ending, latency: Duration) {
        let mut recorded = self.lock();
        recorded.outcomes.add(ending);
        if has_latency(ending) {
            recorded.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// How the votes so far have ended.
    pub fn outcomes(&self) -> Outcomes {
        self.lock().outcomes.clone()
    }

    /// The latencies of the votes so far.
    pub fn latencies(&self) -> Latencies {
        let recorded = self.lock();
        let at = |quantile| Duration::from_micros(recorded.latency.value_at_quantile(quantile));
        Latencies { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: at(1.0) }
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcomes {
    /// How many votes have ended.
    pub fn votes(&self) -> u64 {
        self.response_count() + self.failures.values().sum::<u64>()
    }

    /// How many received a response, whatever its status.
    pub fn response_count(&self) -> u64 {
        self.responses.values().sum()
    }

    fn add(&mut self, ending: Ending) {
        match ending {
            Ending::Acknowledged { status } => {
                self.acknowledged += 1;
                self.add_response(status);
            }
            Ending::Refused { status } => {
                self.refused += 1;
                self.add_response(status);
            }
            Ending::InDoubt { status } => {
                self.unknown += 1;
                self.add_response(status);
            }
            Ending::Failed(failure) => {
                *self.failures.entry(failure).or_default() += 1;
                match failure {
                    Failure::Unsent | Failure::Unconnected => self.refused += 1,
                    Failure::Unanswered | Failure::Cut | Failure::Unreadable => self.unknown += 1,
                }
            }
        }
    }

    fn add_response(&mut self, status: u16) {
        *self.responses.entry(status).or_default() += 1;
    }
}

/// Whether a vote that ended so received a response or timed out.
fn has_latency(ending: Ending) -> bool {
    match ending {
        Ending::Acknowledged { .. } | Ending::Refused { .. } | Ending::InDoubt { .. } => true,
        Ending::Failed(Failure::Unanswered | Failure::Unsent) => true,
        Ending::Failed(Failure::Cut | Failure::Unreadable | Failure::Unconnected) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vote_is_acknowledged_refused_or_unknown() {
        let findings = Findings::new();
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
        let outcomes = findings.outcomes();
        assert_eq!((outcomes.votes(), outcomes.response_count()), (8, 3));
        assert_eq!((outcomes.acknowledged, outcomes.refused, outcomes.unknown), (1, 3, 4));
        assert_eq!(outcomes.responses, BTreeMap::from([(200, 1), (500, 1), (503, 1)]));
        assert_eq!(outcomes.failures.len(), 5);
    }

    #[test]
    fn timed_out_vote_counts_with_the_time_waited() {
        let findings = Findings::new();
        findings.record(Ending::Acknowledged { status: 200 }, Duration::from_millis(1));
        findings.record(Ending::Failed(Failure::Unanswered), Duration::from_secs(10));
        findings.record(Ending::Failed(Failure::Unsent), Duration::from_secs(10));
        findings.record(Ending::Failed(Failure::Unconnected), Duration::ZERO);
        assert_eq!(findings.lock().latency.len(), 3);
        let Latencies { p50, .. } = findings.latencies();
        assert!(p50 >= Duration::from_millis(9_990), "{p50:?}");
    }
}
