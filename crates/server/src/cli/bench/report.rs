//! The bench's report.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use throng_loadgen::{Failure, Latencies, Load, Measurement, Votes};

use super::super::counted::counted;

/// The report of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    /// The poll, where it is a rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearsal: Option<String>,
    load: Load,
    requests: u64,
    /// The time that votes were in flight.
    took_s: f64,
    /// Responses per second, whatever their status.
    requests_per_second: f64,
    latency_ms: LatencyMs,
    /// Responses by status.
    answers: BTreeMap<u16, u64>,
    /// Votes without a response, by reason.
    errors: BTreeMap<Failure, u64>,
    votes: Votes,
}

/// Latencies, in milliseconds.
#[derive(Debug, Serialize)]
struct LatencyMs {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Report {
    /// The report of what a load on the server at `url` has shown.
    pub(super) fn new(url: String, rehearsal: Option<String>, measurement: Measurement) -> Self {
        let Measurement { load, took, outcomes, latencies, votes } = measurement;
        let responses = u32::try_from(outcomes.response_count()).unwrap_or(u32::MAX);
        let took_s = took.as_secs_f64();
        Self {
            url,
            rehearsal,
            load,
            requests: outcomes.votes(),
            took_s,
            requests_per_second: f64::from(responses) / took_s.max(f64::MIN_POSITIVE),
            latency_ms: latencies.into(),
            answers: outcomes.responses,
            errors: outcomes.failures,
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
        faults.extend(count_fault(&self.votes));
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
        let LatencyMs { p50, p90, p99, p99_9, max } = self.latency_ms;
        let rehearsal = self.rehearsal.as_ref().map_or_else(String::new, |slug| format!(", rehearsal `{slug}`"));
        writeln!(f, "{}{rehearsal}, {}", self.url, describe_load(&self.load))?;
        let (took, rate) = (self.took_s, self.requests_per_second);
        writeln!(f, "requests   {} in {took:.2} s: {rate:.0} a second", self.requests)?;
        writeln!(f, "latency    p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p99_9:.2}  max {max:.2} ms")?;
        writeln!(f, "answers    {}", self.list_answers())?;
        writeln!(f, "errors     {}", self.list_errors())?;
        writeln!(f, "votes      {}", describe_votes(&self.votes))
    }
}

impl From<Latencies> for LatencyMs {
    fn from(latencies: Latencies) -> Self {
        let Latencies { p50, p90, p99, p99_9, max } = latencies;
        let [p50, p90, p99, p99_9, max] = [p50, p90, p99, p99_9, max].map(|latency| latency.as_secs_f64() * 1e3);
        Self { p50, p90, p99, p99_9, max }
    }
}

fn describe_load(load: &Load) -> String {
    match load {
        Load::Rounds { clients, rounds } => {
            format!("{} of {} at the same instant", counted(rounds, "round"), counted(clients, "client"))
        }
        Load::Rate { clients, rate, duration } => {
            format!("{} a second for {duration:?} by {}", counted(rate, "vote"), counted(clients, "client"))
        }
    }
}

fn describe_votes(votes: &Votes) -> String {
    let Votes { acknowledged, refused, unknown, counted_before, counted_after, agree } = votes;
    let count = match counted_after {
        Some(after) => {
            let verdict = if *agree { "right" } else { "WRONG" };
            let counted = i128::from(*after) - i128::from(*counted_before);
            format!("the server counted {counted} (from {counted_before} to {after}): {verdict}")
        }
        None => "what the server counted can't be read".to_owned(),
    };
    format!("{acknowledged} acknowledged, {refused} refused, {unknown} unknown; {count}")
}

/// What is wrong with the server's count, if anything is.
fn count_fault(votes: &Votes) -> Option<String> {
    let Votes { acknowledged, unknown, counted_before, counted_after, agree, .. } = votes;
    let Some(after) = counted_after else {
        return Some("the result can't be read after the last vote, so nothing is known about the count".to_owned());
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

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use throng_loadgen::Outcomes;

    use super::*;

    /// The report of votes with these outcomes, of which the server counted `counted` in its result of 10.
    fn report(outcomes: Outcomes, counted: u64) -> Report {
        let Outcomes { acknowledged, refused, unknown, .. } = outcomes;
        let counted_after = Some(10 + counted);
        let agree = counted == acknowledged;
        let votes = Votes { acknowledged, refused, unknown, counted_before: 10, counted_after, agree };
        let ms = Duration::from_millis;
        Report::new(
            "http://127.0.0.1:8080".to_owned(),
            None,
            Measurement {
                load: Load::Rounds { clients: 2, rounds: 2 },
                took: ms(500),
                outcomes,
                latencies: Latencies { p50: ms(2), p90: ms(3), p99: ms(4), p99_9: ms(5), max: ms(6) },
                votes,
            },
        )
    }

    fn acknowledged(votes: u64) -> Outcomes {
        Outcomes { responses: BTreeMap::from([(200, votes)]), acknowledged: votes, ..Outcomes::default() }
    }

    #[test]
    fn good_run_has_a_readable_report_without_faults() {
        let report = report(acknowledged(4), 4);
        assert_eq!(report.faults(), Vec::<String>::new());
        assert_eq!(
            report.to_string(),
            "http://127.0.0.1:8080, 2 rounds of 2 clients at the same instant\n\
             requests   4 in 0.50 s: 8 a second\n\
             latency    p50 2.00  p90 3.00  p99 4.00  p99.9 5.00  max 6.00 ms\n\
             answers    4 × 200\n\
             errors     none\n\
             votes      4 acknowledged, 0 refused, 0 unknown; the server counted 4 (from 10 to 14): right\n"
        );
    }

    #[test]
    fn load_of_one_is_singular() {
        let load = Load::Rounds { clients: 1, rounds: 1 };
        assert_eq!(describe_load(&load), "1 round of 1 client at the same instant");
        let load = Load::Rate { clients: 1, rate: 1, duration: Duration::from_secs(3) };
        assert_eq!(describe_load(&load), "1 vote a second for 3s by 1 client");
    }

    #[test]
    fn json_has_the_whole_report() {
        let failures = BTreeMap::from([(Failure::Cut, 1)]);
        let outcomes = Outcomes { failures, unknown: 1, ..acknowledged(1) };
        assert_eq!(
            serde_json::to_value(report(outcomes, 1)).unwrap(),
            json!({
                "url": "http://127.0.0.1:8080",
                "load": {"kind": "rounds", "clients": 2, "rounds": 2},
                "requests": 2,
                "took_s": 0.5,
                "requests_per_second": 2.0,
                "latency_ms": {"p50": 2.0, "p90": 3.0, "p99": 4.0, "p99_9": 5.0, "max": 6.0},
                "answers": {"200": 1},
                "errors": {"cut": 1},
                "votes": {"acknowledged": 1, "refused": 0, "unknown": 1, "counted_before": 10, "counted_after": 11,
                    "agree": true},
            })
        );
    }

    #[test]
    fn failed_votes_and_a_wrong_count_are_faults() {
        let (responses, failures) = (BTreeMap::from([(503, 1)]), BTreeMap::from([(Failure::Cut, 1)]));
        let outcomes = Outcomes { responses, failures, refused: 1, unknown: 1, ..Outcomes::default() };
        let faults = report(outcomes, 2).faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(faults[0], "2 of 2 votes failed (answers by status: 1 × 503; errors: 1 cut)");
        assert!(faults[1].starts_with("the count is wrong"), "{faults:?}");
    }

    #[test]
    fn wrong_count_is_reported_with_its_numbers() {
        let votes = |acknowledged, counted_after| {
            let agree = counted_after == Some(100 + acknowledged);
            Votes { acknowledged, refused: 0, unknown: 2, counted_before: 100, counted_after, agree }
        };
        let fault = count_fault(&votes(10, Some(100))).unwrap();
        assert!(fault.contains("10 votes were acknowledged and 2 may") && fault.contains("from 100 to 100"), "{fault}");
        let fault = count_fault(&votes(1, Some(100))).unwrap();
        assert!(fault.contains("1 vote was acknowledged"), "{fault}");
        assert!(count_fault(&votes(10, None)).is_some());
        assert_eq!(count_fault(&votes(10, Some(110))), None);
    }
}
