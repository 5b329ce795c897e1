//! `cargo xtask bench …`: comparative benchmarks, interleaved on one machine, because ratios are valid on other machines and
//! absolute figures aren't.

mod backup;
mod chain;
mod contender;
mod drain;
mod embedded;
mod growth;
mod http;
mod lag;
mod load;
mod machine;
mod process;
mod report;
mod runs;
mod scaled_out;
mod seed;
mod server;
mod tls_database;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::command;

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Durable votes and result reads, against empty servers
    Embedded(Plan),
    /// Votes through RabbitMQ, a worker and a database, against an empty server
    Chain(Plan),
    /// One worker that records two million ballots from the queue
    Drain(drain::Options),
    /// Votes, and draining a queue, with TLS to the database, against the same without
    TlsDatabase(tls_database::Options),
    /// The time from a vote at one node to its result at another
    Lag(lag::Options),
    /// Votes and result reads on a file with ten million ballots, against an empty one
    Growth(growth::Options),
    /// Votes while `throng backup` copies a file with ten million ballots, against votes without it
    Backup(backup::Options),
}

/// How long is measured.
#[derive(Clone, Debug, Args, Serialize)]
pub struct Plan {
    /// Rounds; each has every contender once at each number of connections
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    #[serde(skip)]
    out: PathBuf,
}

/// Runs a benchmark. Returns whether there were no faults; a bar that isn't reached is only shown.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(bench: &Bench) -> anyhow::Result<bool> {
    match bench {
        Bench::Embedded(plan) => embedded::run(plan),
        Bench::Chain(plan) => chain::run(plan),
        Bench::Drain(options) => drain::run(options),
        Bench::TlsDatabase(options) => tls_database::run(options),
        Bench::Lag(options) => lag::run(options),
        Bench::Growth(options) => growth::run(options),
        Bench::Backup(options) => backup::run(options),
    }
}

/// The binaries that are measured, and a directory for their files.
struct BenchEnv {
    release: PathBuf,
    scratch: PathBuf,
}

impl BenchEnv {
    /// Builds the binaries.
    fn open() -> anyhow::Result<Self> {
        let build = "build --release --package throng --bin throng --example empty_axum --example empty_own";
        command::run(&mut command::cargo(build))?;
        let metadata = command::metadata()?;
        let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
        let (release, scratch) = (PathBuf::from(target).join("release"), PathBuf::from(target).join("bench"));
        std::fs::create_dir_all(&scratch)?;
        Ok(Self { release, scratch })
    }

    fn throng(&self) -> PathBuf {
        self.release.join("throng")
    }

    fn example(&self, name: &str) -> PathBuf {
        self.release.join("examples").join(name)
    }
}

/// Prints the faults; returns whether there are none.
fn print_faults(faults: &[String]) -> bool {
    faults.iter().for_each(|fault| println!("fault: {fault}"));
    faults.is_empty()
}
