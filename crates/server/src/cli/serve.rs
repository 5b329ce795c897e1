//! `throng serve`.

use std::convert::Infallible;
use std::pin::pin;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::flags::Flags;
use super::log::{Log, log_to_stderr};
use crate::app::Server;
use crate::config::Config;

pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config_to_serve()?;
    let log = log_to_stderr(&config)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, cores, &log));
    // An aborted start may have left a name lookup running, whose result isn't needed any more.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, cores: usize, log: &Log) -> anyhow::Result<()> {
    let mut stop = pin!(stop_signal().context("signals can't be received")?);
    tokio::spawn(handle_reload_signals().context("signals can't be received")?);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    info!(database = %config.database, queue = config.queue.as_ref().map(tracing::field::display), "starting");
    let server = tokio::select! {
        server = Server::start(config, None, cores) => server?,
        () = &mut stop => {
            info!("stopped before it was ready");
            return Ok(());
        }
    };
    info!("serving on {scheme}://{}", server.address());
    let counter = server.app().metrics.log_lines_dropped.clone();
    tokio::spawn(log.watch(counter));
    server.run_until(stop).await?;
    info!("stopped");
    Ok(())
}

/// Completes once this process receives a signal to stop: SIGTERM, SIGINT or SIGQUIT.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut quit = signal(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    })
}

/// Handles the signals on which other servers reload or reopen something, and which would terminate this process by default:
/// logs that they have no effect.
pub(super) fn handle_reload_signals() -> std::io::Result<impl Future<Output = Infallible>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut user_1, mut user_2) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = hangup.recv() => "SIGHUP",
                _ = user_1.recv() => "SIGUSR1",
                _ = user_2.recv() => "SIGUSR2",
            };
            info!("{name} has no effect: a new certificate is taken up by itself, other settings take a restart");
        }
    })
}
