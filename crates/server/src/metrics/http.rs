//! HTTP and admission, a core each, added up when somebody looks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use crate::intake::BallotQueue;
use crate::serve::ConnectionMetrics;

/// What a ballot may be refused for: the codes of the problems that it is answered with.
const REASONS: [&str; 19] = [
    "origin_not_allowed",
    "not_a_ballot",
    "invalid_choice",
    "too_large",
    "body_unreadable",
    "request_timeout",
    "unsupported_content_encoding",
    "unsupported_media_type",
    "poll_not_found",
    "poll_not_open",
    "poll_closed",
    "ballot_id_missing",
    "ballot_id_reused",
    "already_voted",
    "overloaded",
    "store_unavailable",
    "queue_unavailable",
    "outcome_unknown",
    "internal",
];

/// What one core's HTTP measures. A core of its own for each keeps two cores from fighting over one cache line.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
    /// Ballots refused, in the order of [`REASONS`].
    refused: [AtomicU64; REASONS.len()],
    /// Its connections.
    pub connections: ConnectionMetrics,
    /// Bytes of responses that clients of HTTP/2 have yet to take.
    pub unsent_bytes: Gauge,
}

impl HttpMetrics {
    /// An answer of this status went out.
    pub fn answered(&self, status: u16) {
        if let Some(answers) = self.answers.get(usize::from(status / 100)) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A ballot was answered with the problem of this code.
    pub fn ballot_refused(&self, code: &str) {
        let known = REASONS.iter().position(|reason| *reason == code);
        debug_assert!(known.is_some(), "{code} is no reason to refuse a ballot");
        if let Some(refused) = known.and_then(|known| self.refused.get(known)) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Adds up what the cores measured, at the moment of a scrape.
#[derive(Debug)]
pub(super) struct PerCore {
    pub(super) http: Vec<Arc<HttpMetrics>>,
    pub(super) ballot_queues: Vec<Arc<BallotQueue>>,
}

impl Collector for PerCore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut encoder)?;
        let connections = self.http.iter().map(|core| core.connections.open.get()).sum();
        gauge(&mut encoder, "connections", "Connections open now", connections)?;
        let unsent = self.http.iter().map(|core| core.unsent_bytes.get()).sum();
        gauge(&mut encoder, "unsent_bytes", "Bytes of HTTP/2 responses that clients have yet to take", unsent)?;
        let waiting: usize = self.ballot_queues.iter().map(|ballot_queue| ballot_queue.waiting()).sum();
        let help = "Ballots admitted and not yet durable";
        gauge(&mut encoder, "ballots_waiting", help, i64::try_from(waiting).unwrap_or(i64::MAX))
    }
}

impl PerCore {
    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = |value: &dyn Fn(&HttpMetrics) -> u64| self.http.iter().map(|core| value(core)).sum();
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let answers = (1..).zip(classes).map(|(class, name)| (name, sum(&|core| load(&core.answers[class]))));
        family(encoder, "http_responses", "HTTP responses, by class of status", "class", answers)?;
        let refused = (0..).zip(REASONS).map(|(reason, name)| (name, sum(&|core| load(&core.refused[reason]))));
        let help =
            "Ballots answered with an error, by its code; of outcome_unknown alone something may have been taken";
        family(encoder, "ballots_refused", help, "reason", refused)?;
        let accepted = ConstCounter::new(self.http.iter().map(|core| core.connections.accepted.get()).sum::<u64>());
        let help = "Connections accepted";
        accepted.encode(encoder.encode_descriptor("connections_accepted", help, None, accepted.metric_type())?)?;
        let admitted =
            ConstCounter::new(self.ballot_queues.iter().map(|ballot_queue| ballot_queue.admitted()).sum::<u64>());
        let help = "Ballots admitted";
        admitted.encode(encoder.encode_descriptor("ballots_admitted", help, None, admitted.metric_type())?)
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (value, count) in counts {
        ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}
