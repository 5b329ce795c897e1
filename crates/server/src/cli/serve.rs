//! `throng serve`.

use std::io::IsTerminal as _;
use std::sync::Arc;

use anyhow::Context as _;
use throng_domain::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::Flags;
use crate::app::Server;
use crate::config::{AppEnv, Config};

pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    log_to_stderr(&config);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop_signal().context("signals can't be received")?;
        let server = Server::start(config, Arc::new(SystemClock), cores).await?;
        info!("serving on http://{}", server.address());
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

pub(super) fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::new(&config.log);
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.app_env {
        AppEnv::Dev => log.init(),
        AppEnv::Prod => log.json().flatten_event(true).init(),
    }
}
