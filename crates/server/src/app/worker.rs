//! A running worker, until it has stopped.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use prometheus_client::metrics::counter::Counter;
use throng_backends::queue;
use throng_backends::store::Claim;
use throng_domain::clock::{Clock, SteadyClock};
use throng_domain::store::{Database, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{StartupWait, cant_use, open_cache, open_database};
use crate::config::Config;
use crate::net::{Cores, Shutdown, ensure_descriptors};
use crate::telemetry::metrics::WorkerMetrics;
use crate::worker::{Consumer, ConsumerError, Health, ResultBroadcaster, ensure_free, serve, watch_rounds};

/// Consumes ballots from the configured queue and records them, `concurrency` batches at once, until `stop_signal` completes;
/// then finishes the batches in progress and returns. Calls `on_dropped_lines` with the counter of dropped log lines.
///
/// # Errors
/// If there is no queue, a part can't be opened, or ballots can't be recorded any more.
pub async fn work(
    config: &Config,
    concurrency: u16,
    stop_signal: impl Future<Output = ()>,
    on_dropped_lines: impl FnOnce(Counter),
) -> anyhow::Result<()> {
    let mut stop_signal = pin!(stop_signal);
    if config.queue.is_none() {
        bail!("a worker consumes ballots from a queue; set QUEUE_URL, here and for the web nodes");
    }
    ensure_descriptors(1)?;
    ensure_free(config.worker_listen)?;
    let claim = config.database.claim()?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new());
    let (stop, metrics, wait) =
        (CancellationToken::new(), WorkerMetrics::new(&clock), StartupWait::new(config, &clock));
    on_dropped_lines(metrics.log_lines_dropped.clone());
    let health = Health::new(metrics, stop.clone(), wait.missing());
    let mut health_server = HealthServer { health: Arc::new(health), listen: config.worker_listen, clock, cores: None };
    let (mut consumers, all_recorded) = (JoinSet::new(), CancellationToken::new());
    let starting =
        start_consumers(config, claim.as_ref(), concurrency, &wait, &mut health_server, &stop, &mut consumers);
    let (broadcaster, store) = tokio::select! {
        started = starting => started?,
        () = &mut stop_signal => {
            info!("stopped before it was ready");
            return Ok(());
        }
    };
    let broadcasting = tokio::spawn({
        let all_recorded = all_recorded.clone();
        async move { broadcaster.run(&all_recorded).await }
    });
    health_server.health.set_ready(store);
    health_server.serve()?;
    let (cores, shutdown) = health_server.cores.context("the health server is running")?;
    info!(concurrency, "recording; health and metrics on http://{}", cores.address);
    let ended = tokio::select! {
        () = stop_signal => {
            info!("stopping; finishing batches in progress");
            None
        }
        ended = consumers.join_next() => ended,
    };
    stop.cancel();
    let mut result = ended.map_or(Ok(()), flatten);
    while let Some(ended) = consumers.join_next().await {
        result = result.and(flatten(ended));
    }
    // Nothing is recorded any more, so the broadcaster's next results are the last.
    all_recorded.cancel();
    broadcasting.await?;
    shutdown.run().await;
    cores.join();
    result?;
    info!("stopped");
    Ok(())
}

/// The server of a worker's health and metrics, started before the worker is ready if it has to wait.
struct HealthServer {
    health: Arc<Health>,
    listen: SocketAddr,
    clock: Arc<dyn Clock>,
    cores: Option<(Cores, Arc<Shutdown>)>,
}

impl HealthServer {
    /// Starts serving unless it has started already; returns the address if this call has started it.
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

    /// Serves health while the worker waits for a service.
    fn serve_while_waiting(&mut self) -> anyhow::Result<()> {
        if let Some(address) = self.serve()? {
            info!("not ready yet; /livez, /readyz and /metrics are answered on {address}");
        }
        Ok(())
    }
}

/// Starts the consumers, each with its own connections; returns the broadcaster they share, and a store for checking whether
/// the database is available.
async fn start_consumers(
    config: &Config,
    claim: Option<&Claim>,
    concurrency: u16,
    wait: &StartupWait,
    health_server: &mut HealthServer,
    stop: &CancellationToken,
    consumers: &mut JoinSet<Result<(), ConsumerError>>,
) -> anyhow::Result<(Arc<ResultBroadcaster>, Arc<dyn Database>)> {
    let url = config.queue.as_ref().context("QUEUE_URL is set")?;
    let (prefix, key) = (&config.queue_prefix.0, config.message_key()?);
    let (health, clock) = (Arc::clone(&health_server.health), Arc::clone(&health_server.clock));
    let health_server = RefCell::new(health_server);
    let on_unavailable = || health_server.borrow_mut().serve_while_waiting();
    let open = async || open_database(config, claim).await;
    let connect =
        async || queue::connect_result_publisher(url, prefix, key.clone()).await.with_context(|| cant_use(url));
    // Concurrently: by the time the last of the two is available, the other is connected.
    let (store, result_publisher) =
        tokio::try_join!(wait.until_available(&on_unavailable, open), wait.until_available(&on_unavailable, connect))?;
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
        // A file has one writer; on a server, each consumer has connections of its own.
        let open = async || if config.database.is_shared() { open().await } else { Ok(Arc::clone(&store)) };
        let (store, deliveries) = tokio::try_join!(
            wait.until_available(&on_unavailable, open),
            wait.until_available(&on_unavailable, connect)
        )?;
        let (metrics, stop, rounds) = (health.metrics.consumer(), stop.clone(), last_round.subscribe());
        let broadcaster = Arc::clone(&broadcaster);
        ready.push(Consumer { store, deliveries, broadcaster, rounds, metrics, stop });
    }
    tokio::spawn(watch_rounds(Arc::clone(&store) as Arc<dyn Store>, last_round));
    // All at once: a start that is aborted before has recorded nothing.
    for consumer in ready {
        consumers.spawn(consumer.run());
    }
    Ok((broadcaster, store))
}

fn flatten(ended: Result<Result<(), ConsumerError>, tokio::task::JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok(ended) => ended.context("recording has stopped; unrecorded ballots are still on the queue"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
