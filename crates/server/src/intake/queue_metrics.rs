//! Metrics of the ballot queues, read at a scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::BallotQueue;

/// Sums what the ballot queues of all cores have admitted.
#[derive(Debug)]
pub struct AdmissionCollector(pub Vec<Arc<BallotQueue>>);

impl Collector for AdmissionCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let admitted = ConstCounter::new(self.0.iter().map(|queue| queue.admitted()).sum::<u64>());
        let help = "Ballots admitted";
        admitted.encode(encoder.encode_descriptor("ballots_admitted", help, None, admitted.metric_type())?)?;
        let waiting: usize = self.0.iter().map(|queue| queue.waiting()).sum();
        let waiting = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
        let help = "Ballots admitted and not yet durable";
        waiting.encode(encoder.encode_descriptor("ballots_waiting", help, None, waiting.metric_type())?)
    }
}
