//! Spans for an OpenTelemetry collector: one per batch.
//!
//! OpenTelemetry's own variables set how many are kept and how they are batched: `OTEL_TRACES_SAMPLER`,
//! `OTEL_BSP_MAX_QUEUE_SIZE` and so on. A separate thread sends them, and those that don't fit in its queue are dropped: no
//! vote waits for a collector.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::OtlpEndpoint;
use crate::intake::BATCH_SPANS;

/// Timeout of a request to the collector, and of the last export at exit.
const SEND_MAX: Duration = Duration::from_secs(3);

/// Pending spans. Dropping it sends those that are left.
#[derive(Debug)]
pub(super) struct Spans(SdkTracerProvider);

/// Starts sending spans, and returns the layer that collects them. Must not be called, nor its [`Spans`] dropped, within a
/// runtime.
pub(super) fn spans<S>(endpoint: &OtlpEndpoint) -> anyhow::Result<(Spans, impl Layer<S> + Send + Sync)>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint.traces_url()).with_timeout(SEND_MAX);
    let exporter = exporter.build().with_context(|| format!("spans can't be sent to {endpoint}"))?;
    let resource = Resource::builder().with_service_name("throng").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("throng"));
    let batches = Targets::new().with_target(BATCH_SPANS, Level::DEBUG);
    Ok((Spans(provider), layer.with_filter(batches)))
}

impl Drop for Spans {
    fn drop(&mut self) {
        // The last spans are lost if the collector is unavailable; it is too late to log that.
        let _ = self.0.shutdown_with_timeout(SEND_MAX);
    }
}
