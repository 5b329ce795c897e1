//! `throng serve`.

use std::sync::Arc;

use anyhow::Context as _;
use throng_domain::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::Flags;
use super::log::log_to_stderr;
use crate::app::Server;

pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config_to_serve()?;
    let log = log_to_stderr(&config)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop_signal().context("signals can't be received")?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        info!(database = %config.database, queue = config.queue.as_ref().map(tracing::field::display), "starting");
        let server = Server::start(config, Arc::new(SystemClock), cores).await?;
        info!("serving on {scheme}://{}", server.address());
        let counter = server.app().metrics.log_lines_dropped.clone();
        tokio::spawn(log.watch(counter));
        server.run_until(stop).await?;
        info!("stopped");
        Ok(())
    })
}

/// Done once somebody asks this process to stop.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
