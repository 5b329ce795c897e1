//! Writes the log to standard error and, in a build that supports it, sends spans to a collector.
//!
//! A separate thread writes lines from a bounded queue: the reader of standard error may stall, and no vote, health check or
//! signal may wait for it. Lines that don't fit in the queue are dropped and counted.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::MissedTickBehavior;
use tracing::{error, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, registry};

use crate::config::{AppEnv, Config};

/// Maximum lines that wait to be written. A line is as long as the path in it, which the limit on a request's head bounds.
const LINES_WAITING_MAX: usize = 2_048;

/// How often to check whether lines were dropped.
const DROPPED_CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long the process waits at exit for the last lines to be written.
const LAST_LINES_MAX: Duration = Duration::from_millis(1_500);

/// Keeps logging active. Dropping it writes and sends what is pending.
#[derive(Debug)]
#[must_use]
pub(super) struct Log {
    writer: Option<WorkerGuard>,
    dropped: ErrorCounter,
    #[cfg(feature = "otlp")]
    _spans: Option<super::otlp::Spans>,
}

/// Starts logging as `config` specifies.
///
/// # Errors
/// If `config` has spans sent and they can't be.
pub(super) fn log_to_stderr(config: &Config) -> anyhow::Result<Log> {
    // The AMQP library repeats, as errors, what the queue reports, and logs whole messages that a broker returned.
    let filter = EnvFilter::new(format!("lapin=off,{}", config.log));
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = lines(writer, config.app_env);
    let writer = Some(guard);
    log_panics();
    #[cfg(feature = "otlp")]
    if let Some(endpoint) = &config.otlp_endpoint {
        let (spans, layer) = super::otlp::spans(endpoint)?;
        registry().with(lines.with_filter(filter)).with(layer).init();
        return Ok(Log { writer, dropped, _spans: Some(spans) });
    }
    registry().with(lines).with(filter).init();
    Ok(Log {
        writer,
        dropped,
        #[cfg(feature = "otlp")]
        _spans: None,
    })
}

fn lines(writer: NonBlocking, app_env: AppEnv) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(writer);
    match app_env {
        AppEnv::Dev => lines.boxed(),
        AppEnv::Prod => lines.json().flatten_event(true).boxed(),
    }
}

/// Logs panics like everything else: the standard library's own message would wait for the reader of standard error.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let message = panic.payload_as_str().unwrap_or_default();
        let location = panic.location().map(tracing::field::display);
        error!(thread = thread.name(), message, location, backtrace = %std::backtrace::Backtrace::capture(), "panicked");
    }));
}

impl Log {
    /// Counts in `counter` the lines that were dropped, for as long as it is polled, and logs how many once there is room
    /// again.
    pub(super) fn watch(&self, counter: Counter) -> impl Future<Output = Infallible> + use<> {
        let dropped = self.dropped.clone();
        async move {
            let (mut counted, mut reported) = (0, 0);
            let mut tick = tokio::time::interval(DROPPED_CHECK_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let total = dropped.dropped_lines();
                counter.inc_by(u64::try_from(total - counted).unwrap_or(u64::MAX));
                // While more are dropped, this line would be too.
                if total == counted && total > reported {
                    warn!(dropped = total - reported, "lines of this log were dropped: they were read too slowly");
                    // Unless this line was dropped as well.
                    if dropped.dropped_lines() == total {
                        reported = total;
                    }
                }
                counted = total;
            }
        }
    }
}

impl Drop for Log {
    /// Waits for the last lines to be written, but not for a stalled reader: on a separate thread, since the library may
    /// itself print that it couldn't write.
    fn drop(&mut self) {
        let writer = self.writer.take();
        within(LAST_LINES_MAX, move || drop(writer));
    }
}

/// Runs `work`, which may block on the reader of standard error, and waits for it no longer than `wait_max`.
pub(super) fn within(wait_max: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("last-lines".to_owned()).spawn(move || {
        work();
        let _ = done.send(());
    });
    if spawned.is_ok() {
        // Finished or timed out: the caller continues in either case.
        let _ = finished.recv_timeout(wait_max);
    }
}
