//! The progress bar of a load.

use std::io::{IsTerminal as _, stderr};
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use throng_loadgen::{Findings, LoadError};
use tokio::time::interval;

/// How often the bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// Runs the load, and shows its progress if standard error is a terminal.
///
/// # Errors
/// Those of the load.
pub(super) async fn show<T>(
    findings: &Findings,
    votes: u64,
    load: impl Future<Output = Result<T, LoadError>>,
) -> anyhow::Result<T> {
    if !stderr().is_terminal() {
        return Ok(load.await?);
    }
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} votes, {per_sec}, {msg}")?;
    let bar = ProgressBar::new(votes).with_style(style);
    let (mut load, mut draw) = (pin!(load), interval(DRAWN_EVERY));
    let ended = loop {
        tokio::select! {
            ended = &mut load => break ended,
            _ = draw.tick() => {
                let outcomes = findings.outcomes();
                bar.set_position(outcomes.votes());
                bar.set_message(format!("{} failed", outcomes.votes() - outcomes.acknowledged));
            }
        }
    };
    bar.finish_and_clear();
    Ok(ended?)
}
