//! How long a benchmark measures, and where its results are stored.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// How long is measured.
#[derive(Clone, Debug, Args, Serialize)]
pub struct Plan {
    /// Rounds; each has every contender once at each number of connections
    #[arg(long, default_value_t = 5)]
    pub(super) rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 5)]
    pub(super) seconds: u32,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    #[serde(skip)]
    pub(super) out: PathBuf,
}
