//! Where the log goes: to standard error, and, in a build that can, its spans to a collector.
//!
//! Lines are written by a thread of their own, from a bounded queue: whatever reads standard error may stall, and no
//! vote, health check or signal waits for it. What the queue has no room for is dropped and counted.

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

/// Lines that may wait to be written. One is as long as the path in it, which a request's head bounds.
const LINES_WAITING_MAX: usize = 2_048;

/// How often it is looked whether lines were dropped.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the last lines to be written.
const LAST_LINES_MAX: Duration = Duration::from_millis(1_500);

/// Keeps the log going; what isn't written or sent yet is when it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Log {
    writer: Option<WorkerGuard>,
    dropped: ErrorCounter,
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

/// Has panics logged as everything else is: what the standard library prints waits for the reader of standard error.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let message = panic.payload_as_str().unwrap_or_default();
        let location = panic.location().map(tracing::field::display);
        error!(thread = thread.name(), message, location, backtrace = %std::backtrace::Backtrace::capture(), "panicked");
    }));
}

impl Log {
    /// Counts in `counter` the lines that were dropped, for as long as it is polled, and says how many once there is room
    /// again.
    pub(super) fn watch(&self, counter: Counter) -> impl Future<Output = Infallible> + use<> {
        let dropped = self.dropped.clone();
        async move {
            let (mut counted, mut said) = (0, 0);
            let mut tick = tokio::time::interval(LOOK_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let total = dropped.dropped_lines();
                counter.inc_by(u64::try_from(total - counted).unwrap_or(u64::MAX));
                // As long as more are dropped, this line would be too.
                if total == counted && total > said {
                    warn!(dropped = total - said, "lines of this log were dropped: they were read too slowly");
                    // Unless there was no room for it either.
                    if dropped.dropped_lines() == total {
                        said = total;
                    }
                }
                counted = total;
            }
        }
    }
}

impl Drop for Log {
    /// Waits for the last lines to be written, but not for a reader that has stalled: on a thread of its own, since the
    /// library may print that it couldn't.
    fn drop(&mut self) {
        let writer = self.writer.take();
        within(LAST_LINES_MAX, move || drop(writer));
    }
}

/// Does `work`, which may wait for whatever reads standard error, and waits no longer for it than this.
pub(super) fn within(wait_max: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, waits) = mpsc::sync_channel(1);
    let working = thread::Builder::new().name("last-lines".to_owned()).spawn(move || {
        work();
        let _ = done.send(());
    });
    if working.is_ok() {
        // Done, or late: the process ends in either case.
        let _ = waits.recv_timeout(wait_max);
    }
}
