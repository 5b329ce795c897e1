//! What became of the votes: counted while they come in, read at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told from a longer one, in microseconds: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Latencies are right to this many digits.
const LATENCY_DIGITS: u8 = 3;

/// How a vote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server says that it counted the vote.
    Acknowledged { status: u16 },
    /// The server says that it didn't.
    Refused { status: u16 },
    /// The server says that it doesn't know.
    InDoubt { status: u16 },
    /// There was no answer.
    Failed(Failure),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    /// The connection ended with the vote on its way.
    Cut,
    /// The vote was sent; its time was up before the answer.
    Unanswered,
    /// What came back isn't HTTP/1.1.
    Unreadable,
    /// There was no connection to send it on.
    Unconnected,
    /// No client was free to send it before its time was up.
    Unsent,
}

/// What became of the votes so far.
#[derive(Debug)]
pub(super) struct Findings(Mutex<Figures>);

/// What became of all votes.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// In microseconds, of all that were answered or given up at their deadline. One that was given up has the time
    /// that it was waited for, so that a server can't look faster by not answering.
    pub(super) latency: Histogram<u64>,
    /// How many were answered, by status.
    pub(super) answers: BTreeMap<u16, u64>,
    /// How many were not, by reason.
    pub(super) failures: BTreeMap<Failure, u64>,
    /// How many the server says it counted.
    pub(super) acknowledged: u64,
    /// How many were certainly not counted.
    pub(super) refused: u64,
    /// How many may have been counted.
    pub(super) unknown: u64,
}

impl Failure {
    /// In a word.
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
    /// Nothing so far.
    ///
    /// # Errors
    /// Never, with these bounds; but that isn't for this program to say.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Figures {
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS)?,
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
            acknowledged: 0,
            refused: 0,
            unknown: 0,
        })))
    }

    /// Takes down how a vote ended, and how long that took.
    pub(super) fn record(&self, ending: Ending, latency: Duration) {
        let mut figures = self.lock();
        match ending {
            Ending::Acknowledged { status } => {
                figures.acknowledged += 1;
                figures.answered(status, latency);
            }
            Ending::Refused { status } => {
                figures.refused += 1;
                figures.answered(status, latency);
            }
            Ending::InDoubt { status } => {
                figures.unknown += 1;
                figures.answered(status, latency);
            }
            Ending::Failed(failure) => figures.failed(failure, latency),
        }
    }

    /// How many votes have ended, and how many of them badly.
    pub(super) fn ended(&self) -> (u64, u64) {
        let figures = self.lock();
        (figures.votes(), figures.votes() - figures.acknowledged)
    }

    /// What became of all votes.
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
        self.answered_count() + self.failures.values().sum::<u64>()
    }

    /// How many were answered, whatever the answer.
    pub(super) fn answered_count(&self) -> u64 {
        self.answers.values().sum()
    }

    /// The latency that `percent` of the votes had at most.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(percent / 100.0))
    }

    fn answered(&mut self, status: u16, latency: Duration) {
        *self.answers.entry(status).or_default() += 1;
        self.waited(latency);
    }

    fn failed(&mut self, failure: Failure, latency: Duration) {
        *self.failures.entry(failure).or_default() += 1;
        match failure {
            Failure::Unanswered => {
                self.unknown += 1;
                self.waited(latency);
            }
            Failure::Unsent => {
                self.refused += 1;
                self.waited(latency);
            }
            Failure::Cut | Failure::Unreadable => self.unknown += 1,
            Failure::Unconnected => self.refused += 1,
        }
    }

    fn waited(&mut self, latency: Duration) {
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
        assert_eq!(figures.answers, BTreeMap::from([(200, 1), (500, 1), (503, 1)]));
        assert_eq!(figures.failures.len(), 5);
    }

    #[test]
    fn a_vote_given_up_counts_with_the_time_it_was_waited_for() {
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
