//! `throng worker`.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use throng_backends::queue;
use throng_backends::store::Claim;
use throng_domain::clock::{Clock, SteadyClock};
use throng_domain::store::{Database, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Flags;
use super::log::{Log, log_to_stderr};
use super::serve::{outlive_signals, stop_signal};
use crate::app::{StartupWait, cant_use, open_cache, open_database};
use crate::config::Config;
use crate::metrics::WorkerMetrics;
use crate::serve::{Cores, Shutdown, ensure_descriptors};
use crate::worker::{Consumer, ConsumerError, Health, ResultBroadcaster, ensure_free, serve, watch_rounds};

/// How a worker works.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many batches are recorded at once, each on a connection of its own to the database
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config_to_work()?;
    if config.queue.is_none() {
        bail!("a worker takes ballots from a queue; set QUEUE_URL, here and for the web nodes");
    }
    let log = log_to_stderr(&config)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(work(&config, arguments.concurrency, &log));
    // A start that was broken off may have left a look-up of a name behind, which nobody waits for any more.
    runtime.shutdown_background();
    result
}

async fn work(config: &Config, concurrency: u16, log: &Log) -> anyhow::Result<()> {
    let mut stop_signal = pin!(stop_signal().context("signals can't be received")?);
    tokio::spawn(outlive_signals().context("signals can't be received")?);
    ensure_descriptors(1)?;
    ensure_free(config.worker_listen)?;
    let claim = config.database.claim()?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new());
    let (stop, metrics, wait) =
        (CancellationToken::new(), WorkerMetrics::new(&clock), StartupWait::new(config, &clock));
    tokio::spawn(log.watch(metrics.log_lines_dropped.clone()));
    let health = Health::new(metrics, stop.clone(), wait.missing());
    let mut served = Served { health: Arc::new(health), listen: config.worker_listen, clock, cores: None };
    let (mut consumers, quiet) = (JoinSet::new(), CancellationToken::new());
    let starting = start_consumers(config, claim.as_ref(), concurrency, &wait, &mut served, &stop, &mut consumers);
    let (broadcaster, store) = tokio::select! {
        started = starting => started?,
        () = &mut stop_signal => {
            info!("stopped before it was ready");
            return Ok(());
        }
    };
    let announcing = tokio::spawn({
        let quiet = quiet.clone();
        async move { broadcaster.run(&quiet).await }
    });
    served.health.set_ready(store);
    served.serve()?;
    let (cores, shutdown) = served.cores.context("it serves")?;
    info!(concurrency, "recording; health and metrics on http://{}", cores.address);
    let ended = tokio::select! {
        () = stop_signal => {
            info!("finishing what was begun");
            None
        }
        ended = consumers.join_next() => ended,
    };
    stop.cancel();
    let mut result = ended.map_or(Ok(()), flatten);
    while let Some(ended) = consumers.join_next().await {
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

/// A worker's health and metrics, which are served once somebody may ask why it isn't ready.
struct Served {
    health: Arc<Health>,
    listen: SocketAddr,
    clock: Arc<dyn Clock>,
    cores: Option<(Cores, Arc<Shutdown>)>,
}

impl Served {
    /// Serves them from now on, if they aren't yet; returns the address if it has just begun.
    fn serve(&mut self) -> anyhow::Result<Option<SocketAddr>> {
        if self.cores.is_some() {
            return Ok(None);
        }
        let shutdown: Arc<Shutdown> = Arc::default();
        let cores = serve(Arc::clone(&self.health), self.listen, &self.clock, Arc::clone(&shutdown))?;
        let address = cores.address;
        self.cores = Some((cores, shutdown));
        Ok(Some(address))
    }

    /// Has health answered while something is waited for.
    fn answer_meanwhile(&mut self) -> anyhow::Result<()> {
        if let Some(address) = self.serve()? {
            info!("not ready yet; /livez, /readyz and /metrics are answered on {address}");
        }
        Ok(())
    }
}

/// Starts the consumers, each with connections of its own; returns the broadcaster they share, and a store to ask whether the
/// database is there.
async fn start_consumers(
    config: &Config,
    claim: Option<&Claim>,
    concurrency: u16,
    wait: &StartupWait,
    served: &mut Served,
    stop: &CancellationToken,
    consumers: &mut JoinSet<Result<(), ConsumerError>>,
) -> anyhow::Result<(Arc<ResultBroadcaster>, Arc<dyn Database>)> {
    let url = config.queue.as_ref().context("QUEUE_URL is set")?;
    let (prefix, key) = (&config.queue_prefix.0, config.message_key()?);
    let (health, clock) = (Arc::clone(&served.health), Arc::clone(&served.clock));
    let served = RefCell::new(served);
    let on_away = || served.borrow_mut().answer_meanwhile();
    let open = async || open_database(config, claim).await;
    let connect =
        async || queue::connect_result_publisher(url, prefix, key.clone()).await.with_context(|| cant_use(url));
    // At the same time: whichever comes back last, the other is there by then.
    let (store, result_publisher) =
        tokio::try_join!(wait.until_available(&on_away, open), wait.until_available(&on_away, connect))?;
    let cache = open_cache(config);
    let broadcaster = Arc::new(ResultBroadcaster::new(
        result_publisher,
        cache,
        Arc::clone(&clock),
        Arc::clone(&health.metrics.broadcaster),
    ));
    let (mut ready, last_round) = (Vec::new(), watch::Sender::default());
    for _ in 0..concurrency {
        let connect = async || {
            let connecting = queue::connect_worker(url, prefix, key.clone(), Arc::clone(&clock));
            connecting.await.with_context(|| cant_use(url))
        };
        let (store, deliveries) =
            tokio::try_join!(wait.until_available(&on_away, open), wait.until_available(&on_away, connect))?;
        let (metrics, stop, rounds) = (health.metrics.consumer(), stop.clone(), last_round.subscribe());
        let broadcaster = Arc::clone(&broadcaster);
        ready.push(Consumer { store, deliveries, broadcaster, rounds, metrics, stop });
    }
    tokio::spawn(watch_rounds(Arc::clone(&store) as Arc<dyn Store>, last_round));
    // All at once: a start that is broken off before has recorded nothing.
    for consumer in ready {
        consumers.spawn(consumer.run());
    }
    Ok((broadcaster, store))
}

fn flatten(ended: Result<Result<(), ConsumerError>, tokio::task::JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok(ended) => ended.context("recording has ended; what wasn't recorded is still on the queue"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
