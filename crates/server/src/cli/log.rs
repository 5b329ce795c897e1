//! Where the log goes: to standard error, and, in a build that can, its spans to a collector.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, registry};

use crate::config::{AppEnv, Config};

/// Keeps the log going; what isn't sent yet is sent when it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Log {
    #[cfg(feature = "otlp")]
    _spans: Option<super::otlp::Spans>,
}

/// Logs from now on what `config` says.
///
/// # Errors
/// If spans are to be sent and can't be.
pub(super) fn log_to_stderr(config: &Config) -> anyhow::Result<Log> {
    // The AMQP library tells again, as errors, what the queue tells, and writes whole messages that a broker returned.
    let filter = EnvFilter::new(format!("lapin=off,{}", config.log));
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.app_env {
        AppEnv::Dev => lines.boxed(),
        AppEnv::Prod => lines.json().flatten_event(true).boxed(),
    };
    #[cfg(feature = "otlp")]
    if let Some(endpoint) = &config.otlp_endpoint {
        let (spans, layer) = super::otlp::spans(endpoint)?;
        registry().with(lines.with_filter(filter)).with(layer).init();
        return Ok(Log { _spans: Some(spans) });
    }
    registry().with(lines).with(filter).init();
    Ok(Log::default())
}
