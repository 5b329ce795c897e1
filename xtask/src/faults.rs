//! `cargo xtask faults`: the fault tests, with as many rounds as asked for and their report shown.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::services::{self, Kind, Services};

/// What a system needs that is scaled out.
pub const ALL: &[Kind] = &[Kind::Mariadb, Kind::Postgres, Kind::Rabbitmq, Kind::Memcached];

/// What to put to how many faults.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many times the server is killed under load; with --scaled-out, how many times each fault is put
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Put the faults of a system that is scaled out, on private servers: a round of all takes some five minutes
    #[arg(long)]
    scaled_out: bool,
    /// Repeat the kills that a run with this seed made
    #[arg(long)]
    seed: Option<u64>,
    /// The binary put to it, instead of the one built from this tree
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Only the tests whose name contains one of these, such as kills
    only: Vec<String>,
}

/// Builds and runs the tests; whether they pass.
///
/// # Errors
/// If they can't be run.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let services = if options.scaled_out { Some(Services::start(services::unnamed(ALL.to_vec()))?) } else { None };
    let mut tests = tests_of(if services.is_some() { "scaled_out" } else { "faults" });
    tests.envs(services.iter().flat_map(Services::variables));
    tests.args(&options.only).env("THRONG_FAULT_ROUNDS", options.rounds.to_string());
    if let Some(seed) = options.seed {
        tests.env("THRONG_FAULT_SEED", seed.to_string());
    }
    if let Some(bin) = &options.bin {
        tests.env("THRONG_BIN", bin.canonicalize().with_context(|| format!("no binary at {}", bin.display()))?);
    }
    Ok(tests.status().context("cargo can't be run")?.success())
}

/// The fault tests of a server by itself, one after the other, reporting.
pub fn tests() -> Command {
    tests_of("faults")
}

/// Those in a test binary of this name.
pub fn tests_of(binary: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--package", "throng", "--test", binary, "--", "--nocapture", "--test-threads=1"]);
    cargo
}
