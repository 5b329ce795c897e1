//! HTTP and admission metrics, kept per core and summed at a scrape.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::connections::ConnectionMetrics;

/// The reasons to refuse a ballot: the problem codes of the responses.
pub const REFUSAL_REASONS: [&str; 33] = [
    "origin_not_allowed",
    "origin_not_listed",
    "not_a_ballot",
    "invalid_choice",
    "too_large",
    "body_unreadable",
    "request_timeout",
    "unsupported_content_encoding",
    "unsupported_media_type",
    "poll_not_found",
    "rehearsal",
    "poll_not_open",
    "poll_closed",
    "ballot_id_missing",
    "ballot_id_reused",
    "already_voted",
    "option_quota_used",
    "not_changeable",
    "receipt_invalid",
    "nothing_to_withdraw",
    "code_required",
    "code_invalid",
    "proof_required",
    "proof_invalid",
    "voter_token_required",
    "voter_token_invalid",
    "voter_keys_missing",
    "rate_limited",
    "overloaded",
    "store_unavailable",
    "queue_unavailable",
    "outcome_unknown",
    "internal",
];

/// HTTP metrics of one core; kept per core so that cores don't contend for a cache line.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    /// Responses, by the first digit of their status.
    responses: [AtomicU64; 6],
    /// Refused ballots, in the order of [`REFUSAL_REASONS`].
    refused: Refused,
    /// The core's connections.
    pub connections: ConnectionMetrics,
    /// Response bytes that HTTP/2 clients haven't read yet.
    pub unsent_bytes: Gauge,
}

/// A counter for each of [`REFUSAL_REASONS`].
#[derive(Debug)]
struct Refused([AtomicU64; REFUSAL_REASONS.len()]);

/// Not derived: the standard library has no default for so long an array.
impl Default for Refused {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; _])
    }
}

impl HttpMetrics {
    /// Counts a response with this status.
    pub fn count_response(&self, status: u16) {
        if let Some(responses) = self.responses.get(usize::from(status / 100)) {
            responses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a ballot whose response was the problem with this code.
    pub fn ballot_refused(&self, code: &str) {
        let known = REFUSAL_REASONS.iter().position(|reason| *reason == code);
        debug_assert!(known.is_some(), "{code} is not a reason to refuse a ballot");
        if let Some(refused) = known.and_then(|known| self.refused.0.get(known)) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sums the metrics of all cores at a scrape.
#[derive(Debug)]
pub(super) struct PerCore(pub(super) Vec<Arc<HttpMetrics>>);

impl Collector for PerCore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut encoder)?;
        let connections = self.0.iter().map(|core| core.connections.open.get()).sum();
        gauge(&mut encoder, "connections", "Connections open now", connections)?;
        let unsent = self.0.iter().map(|core| core.unsent_bytes.get()).sum();
        gauge(&mut encoder, "unsent_bytes", "Bytes of HTTP/2 responses that clients have yet to take", unsent)
    }
}

impl PerCore {
    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = |value: &dyn Fn(&HttpMetrics) -> u64| self.0.iter().map(|core| value(core)).sum();
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let responses = (1..).zip(classes).map(|(class, name)| (name, sum(&|core| load(&core.responses[class]))));
        family(encoder, "http_responses", "HTTP responses, by class of status", "class", responses)?;
        let refused =
            (0..).zip(REFUSAL_REASONS).map(|(reason, name)| (name, sum(&|core| load(&core.refused.0[reason]))));
        let help =
            "Ballots answered with an error, by its code; of outcome_unknown alone something may have been taken";
        family(encoder, "ballots_refused", help, "reason", refused)?;
        let accepted = ConstCounter::new(self.0.iter().map(|core| core.connections.accepted.get()).sum::<u64>());
        let help = "Connections accepted";
        accepted.encode(encoder.encode_descriptor("connections_accepted", help, None, accepted.metric_type())?)
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
