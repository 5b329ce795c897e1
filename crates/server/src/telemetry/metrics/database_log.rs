//! Metrics of a file database's log (WAL), and of the process that keeps it from being reset.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use throng_domain::store::LogState;

/// The last known state of the log.
#[derive(Clone, Debug, Default)]
pub struct DatabaseLogMetrics(Arc<Mutex<LogState>>);

impl DatabaseLogMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Reports the state that the store found; `None` if there is no such log.
    pub fn found(&self, state: Option<LogState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state.unwrap_or_default();
    }
}

impl Collector for DatabaseLogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let LogState { bytes, reader } = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let length = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
        let help = "Length of the log of a database in a file; 0 with a database server";
        length.encode(encoder.encode_descriptor("database_log", help, Some(&Unit::Bytes), length.metric_type())?)?;
        // The only label value that isn't known in advance. There is at most one such process at a time; without one the label
        // is empty.
        let (process, seen_for) =
            reader.map_or((String::new(), 0.0), |reader| (reader.process.to_string(), reader.seen_for.as_secs_f64()));
        let help = "For how long the process that reads the oldest state of the file has been seen to";
        let read = encoder.encode_descriptor("database_log_reader", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        let mut read = read;
        ConstGauge::new(seen_for).encode(read.encode_family(&[("process", process.as_str())])?)
    }
}
