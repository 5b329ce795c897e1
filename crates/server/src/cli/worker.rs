//! `throng worker`.

use anyhow::Context as _;
use clap::Args;
use tracing::warn;

use super::flags::Flags;
use super::log::log_to_stderr;
use super::serve::{handle_reload_signals, stop_signal};
use crate::app::work;

/// Arguments of `throng worker`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Number of batches recorded at once, each on its own connection to the database
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config_to_work()?;
    let log = log_to_stderr(&config)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let stop_signal = stop_signal().context("signals can't be received")?;
        tokio::spawn(handle_reload_signals().context("signals can't be received")?);
        let watch_log = |dropped_lines| drop(tokio::spawn(log.watch(dropped_lines)));
        work(&config, arguments.concurrency, stop_signal, watch_log).await
    });
    // An aborted start may have left a name lookup running, whose result isn't needed any more.
    runtime.shutdown_background();
    result
}
