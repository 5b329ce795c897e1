//! The bench's report.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::super::counted::counted;
use super::counts::Votes;
use super::findings::{Failure, Figures};
use super::open_loop::Schedule;

/// The requested load.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Load {
    /// All clients vote at the same instant, repeatedly.
    Rounds {
        /// Number of clients.
        clients: u32,
        /// Number of rounds.
        rounds: u32,
    },
    /// A constant rate.
    Rate {
        /// Number of clients that share it.
        clients: u32,
        /// Votes per second.
        rate: u32,
        /// How long it lasts.
        #[serde(rename = "duration_s", serialize_with = "seconds")]
        duration: Duration,
    },
}

/// The report of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    load: Load,
    requests: u64,
    /// The time that votes were in flight.
    #[serde(rename = "took_s", serialize_with = "seconds")]
    took: Duration,
    /// Responses per second, whatever their status.
    requests_per_second: f64,
    latency_ms: Latency,
    /// Responses by status.
    answers: BTreeMap<u16, u64>,
    /// Votes without a response, by reason.
    errors: BTreeMap<Failure, u64>,
    votes: Votes,
}

/// Latencies, in milliseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Load {
    /// The number of its votes.
    pub(super) fn votes(&self) -> u64 {
        match *self {
            Self::Rounds { clients, rounds } => u64::from(clients) * u64::from(rounds),
            Self::Rate { rate, duration, .. } => Schedule::new(rate, duration).votes,
        }
    }
}

impl Report {
    /// The report of a load that took `took`.
    pub(super) fn new(url: String, load: Load, took: Duration, figures: Figures, votes: Votes) -> Self {
        let responses = u32::try_from(figures.response_count()).unwrap_or(u32::MAX);
        let at = |percent| figures.percentile(percent).as_secs_f64() * 1e3;
        Self {
            url,
            load,
            requests: figures.votes(),
            took,
            requests_per_second: f64::from(responses) / took.as_secs_f64().max(f64::MIN_POSITIVE),
            latency_ms: Latency { p50: at(50.0), p90: at(90.0), p99: at(99.0), p99_9: at(99.9), max: at(100.0) },
            answers: figures.responses,
            errors: figures.failures,
            votes,
        }
    }

    /// Descriptions of everything that went wrong.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let failed = self.requests.saturating_sub(self.votes.acknowledged);
        if failed > 0 {
            let (answers, errors) = (self.list_answers(), self.list_errors());
            faults.push(format!(
                "{failed} of {} failed (answers by status: {answers}; errors: {errors})",
                counted(self.requests, "vote")
            ));
        }
        faults.extend(self.votes.fault());
        faults
    }

    fn list_answers(&self) -> String {
        list(self.answers.iter().map(|(status, count)| format!("{count} × {status}")))
    }

    fn list_errors(&self) -> String {
        list(self.errors.iter().map(|(failure, count)| format!("{count} {}", failure.name())))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p90, p99, p99_9, max } = self.latency_ms;
        writeln!(f, "{}, {}", self.url, self.load)?;
        let (took, rate) = (self.took.as_secs_f64(), self.requests_per_second);
        writeln!(f, "requests   {} in {took:.2} s: {rate:.0} a second", self.requests)?;
        writeln!(f, "latency    p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p99_9:.2}  max {max:.2} ms")?;
        writeln!(f, "answers    {}", self.list_answers())?;
        writeln!(f, "errors     {}", self.list_errors())?;
        writeln!(f, "votes      {}", self.votes)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounds { clients, rounds } => {
                let (rounds, clients) = (counted(rounds, "round"), counted(clients, "client"));
                write!(f, "{rounds} of {clients} at the same instant")
            }
            Self::Rate { clients, rate, duration } => {
                let (votes, clients) = (counted(rate, "vote"), counted(clients, "client"));
                write!(f, "{votes} a second for {duration:?} by {clients}")
            }
        }
    }
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::findings::{Ending, Findings};
    use super::*;

    fn report(endings: &[Ending], counted_after: u64) -> Report {
        let findings = Findings::new().unwrap();
        endings.iter().for_each(|ending| findings.record(*ending, Duration::from_millis(2)));
        let figures = findings.figures();
        let votes = Votes::compare(&figures, 10, Some(counted_after));
        let load = Load::Rounds { clients: 2, rounds: 2 };
        Report::new("http://127.0.0.1:8080".to_owned(), load, Duration::from_millis(500), figures, votes)
    }

    #[test]
    fn good_run_has_a_readable_report_without_faults() {
        let report = report(&[Ending::Acknowledged { status: 200 }; 4], 14);
        assert_eq!(report.faults(), Vec::<String>::new());
        assert_eq!(
            report.to_string(),
            "http://127.0.0.1:8080, 2 rounds of 2 clients at the same instant\n\
             requests   4 in 0.50 s: 8 a second\n\
             latency    p50 2.00  p90 2.00  p99 2.00  p99.9 2.00  max 2.00 ms\n\
             answers    4 × 200\n\
             errors     none\n\
             votes      4 acknowledged, 0 refused, 0 unknown; the server counted 4 (from 10 to 14): right\n"
        );
    }

    #[test]
    fn load_of_one_is_singular() {
        let load = Load::Rounds { clients: 1, rounds: 1 };
        assert_eq!(load.to_string(), "1 round of 1 client at the same instant");
        let load = Load::Rate { clients: 1, rate: 1, duration: Duration::from_secs(3) };
        assert_eq!(load.to_string(), "1 vote a second for 3s by 1 client");
    }

    #[test]
    fn json_has_the_whole_report() {
        let endings = [Ending::Acknowledged { status: 200 }, Ending::Failed(Failure::Cut)];
        let json = serde_json::to_value(report(&endings, 11)).unwrap();
        assert_eq!(json["load"], json!({"kind": "rounds", "clients": 2, "rounds": 2}));
        assert_eq!(json["requests"], 2);
        assert_eq!(json["took_s"], 0.5);
        assert_eq!(json["requests_per_second"], 2.0);
        assert!(json["latency_ms"]["p99_9"].as_f64().is_some_and(|ms| (1.9..2.1).contains(&ms)), "{json}");
        assert_eq!(json["answers"], json!({"200": 1}));
        assert_eq!(json["errors"], json!({"cut": 1}));
        let votes = json!({"acknowledged": 1, "refused": 0, "unknown": 1, "counted_before": 10, "counted_after": 11,
            "agree": true});
        assert_eq!(json["votes"], votes);
        let load = Load::Rate { clients: 1, rate: 5, duration: Duration::from_millis(1_500) };
        let json = serde_json::to_value(load).unwrap();
        assert_eq!(json, json!({"kind": "rate", "clients": 1, "rate": 5, "duration_s": 1.5}));
    }

    #[test]
    fn failed_votes_and_a_wrong_count_are_faults() {
        let endings = [Ending::Refused { status: 503 }, Ending::Failed(Failure::Cut)];
        let faults = report(&endings, 12).faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(faults[0], "2 of 2 votes failed (answers by status: 1 × 503; errors: 1 cut)");
        assert!(faults[1].starts_with("the count is wrong"), "{faults:?}");
    }
}
