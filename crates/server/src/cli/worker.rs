//! `throng worker`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use throng_backends::queue;
use throng_backends::store::Claim;
use throng_domain::clock::{Clock, SystemClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Flags;
use super::log::{Log, log_to_stderr};
use super::serve::stop_signal;
use crate::app::{cant_use, open_cache, open_database};
use crate::config::Config;
use crate::metrics::WorkerMetrics;
use crate::serve::Shutdown;
use crate::worker::{Health, Herald, Recording, RecordingError, ensure_free, serve};

/// How a worker works.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many batches are recorded at once, each on a connection of its own to the database
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    if config.queue.is_none() {
        bail!("a worker takes ballots from a queue; set QUEUE_URL, here and for the web nodes");
    }
    let log = log_to_stderr(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work(&config, arguments.concurrency, &log))
}

async fn work(config: &Config, concurrency: u16, log: &Log) -> anyhow::Result<()> {
    let stop_signal = stop_signal().context("signals can't be received")?;
    ensure_free(config.worker_listen)?;
    let claim = config.database.claim()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open_database(config, claim.as_ref()).await?;
    let (stop, metrics, shutdown) =
        (CancellationToken::new(), WorkerMetrics::new(&clock), Arc::new(Shutdown::default()));
    tokio::spawn(log.watch(metrics.log_lines_dropped.clone()));
    let (mut recordings, quiet) = (JoinSet::new(), CancellationToken::new());
    let herald =
        start_recordings(config, claim.as_ref(), concurrency, &clock, &metrics, &stop, &mut recordings).await?;
    let announcing = tokio::spawn({
        let quiet = quiet.clone();
        async move { herald.announce(&quiet).await }
    });
    let health = Health { store, metrics, stop: stop.clone() };
    let cores = serve(health, config.worker_listen, &clock, Arc::clone(&shutdown))?;
    info!(concurrency, "recording; health and metrics on http://{}", cores.address);
    let ended = tokio::select! {
        () = stop_signal => {
            info!("finishing what was begun");
            None
        }
        ended = recordings.join_next() => ended,
    };
    stop.cancel();
    let mut result = ended.map_or(Ok(()), flatten);
    while let Some(ended) = recordings.join_next().await {
        result = result.and(flatten(ended));
    }
    // Nothing is recorded any more, so what it tells now is the last.
    quiet.cancel();
    announcing.await?;
    shutdown.run().await;
    cores.join();
    result?;
    info!("stopped");
    Ok(())
}

/// Starts the lines of recording, each with a consumer and a store of its own; returns the herald of them all.
async fn start_recordings(
    config: &Config,
    claim: Option<&Claim>,
    concurrency: u16,
    clock: &Arc<dyn Clock>,
    metrics: &WorkerMetrics,
    stop: &CancellationToken,
    recordings: &mut JoinSet<Result<(), RecordingError>>,
) -> anyhow::Result<Arc<Herald>> {
    let url = config.queue.as_ref().context("QUEUE_URL is set")?;
    let (prefix, key) = (&config.queue_prefix.0, config.message_key()?);
    let announcer = queue::connect_announcer(url, prefix, key.clone()).await.with_context(|| cant_use(url))?;
    let cache = open_cache(config);
    let herald = Arc::new(Herald::new(announcer, cache, Arc::clone(clock), Arc::clone(&metrics.herald)));
    for _ in 0..concurrency {
        let recording = Recording {
            deliveries: queue::connect_worker(url, prefix, key.clone(), Arc::clone(clock)).await?,
            store: open_database(config, claim).await?,
            herald: Arc::clone(&herald),
            metrics: metrics.line(),
            stop: stop.clone(),
        };
        recordings.spawn(recording.run());
    }
    Ok(herald)
}

fn flatten(ended: Result<Result<(), RecordingError>, tokio::task::JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok(ended) => ended.context("recording has ended; what wasn't recorded is still on the queue"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
