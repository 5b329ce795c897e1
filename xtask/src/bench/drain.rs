//! `cargo xtask bench drain`: how fast one worker records the ballots on the queue.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::bench_env::BenchEnv;
use super::machine::Machine;
use super::report::{Fact, Report};
use super::request::Request;
use super::runs::ballots_counted;
use super::scaled_out::{self, ScaledOut};
use super::{load, machine};
use crate::packages::{self, SETPRIV};
use crate::services::{Kind, Services};
use crate::stopwatch::{Stopwatch, wait_checking_rarely};

/// Connections and seconds of one load while the queue is filled.
const LOAD: (usize, u32) = (1_000, 5);

/// How long the worker may take.
const DRAINED_MAX: Duration = Duration::from_secs(600);

/// How much is drained.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Ballots on the queue before the worker starts
    #[arg(long, default_value_t = 2_000_000)]
    ballots: u64,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run, or a ballot is missing.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    machine::raise_descriptor_limit()?;
    let bench_env = BenchEnv::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let mut facts = Vec::new();
    for (kind, short, name) in [(Kind::Mariadb, "mariadb", "MariaDB"), (Kind::Postgres, "postgres", "PostgreSQL")] {
        let system = ScaledOut::on(short, kind, bench_env.throng(), &services)?;
        let Drained { rate, memory_mb } = measure(&system, name, options.ballots, &bench_env)?;
        facts.push(Fact::at_least(format!("one worker into {name}"), rate, "ballots/s", 250_000.0));
        facts.push(Fact::below(format!("its peak memory, into {name}"), memory_mb, "MB", 200.0));
    }
    let notes = vec![
        format!(
            "{} ballots wait on the queue; then one `throng worker` starts. The time is from its start until the web node \
             shows the last one.",
            options.ballots
        ),
        "Broker, database, web node and worker are on this machine.".to_owned(),
    ];
    let date = machine::today();
    let report =
        Report { name: "drain", date, machine, plan: None, notes, facts, ratios: Vec::new(), runs: Vec::new() };
    report.publish(&options.out)?;
    Ok(true)
}

/// The results of draining the queue.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Ballots per second.
    pub rate: f64,
    /// The peak memory of the worker, in MB.
    pub memory_mb: f64,
}

/// Fills the queue of a new system with `ballots`, and drains it with one worker.
///
/// # Errors
/// If the benchmark can't run, or a ballot is missing.
pub fn measure(system: &ScaledOut, name: &str, ballots: u64, bench_env: &BenchEnv) -> anyhow::Result<Drained> {
    let (directory, system) = (tempfile::tempdir_in(&bench_env.scratch)?, system.set_up()?);
    let mut web = system.web(directory.path())?;
    let (mut acknowledged, mut loads) = (0, 0);
    while acknowledged < ballots {
        let summary = load::send(Request::Vote, web.address, LOAD.0, LOAD.1)?;
        if summary.errors > 0 {
            bail!("{} of the votes failed", summary.errors);
        }
        (acknowledged, loads) = (acknowledged + summary.requests, loads + 1);
        println!("{name}: {acknowledged} of {ballots} ballots are on the queue");
    }
    machine::wait_until_quiet()?;
    let watch = Stopwatch::start();
    system.worker(&mut web, directory.path())?;
    let all = || ballots_counted(&web).ok().filter(|counted| *counted >= acknowledged);
    let Some(counted) = wait_checking_rarely(DRAINED_MAX, all) else {
        bail!("{} of {acknowledged} ballots were counted in {} s", ballots_counted(&web)?, DRAINED_MAX.as_secs());
    };
    let rate = counted as f64 / watch.elapsed().as_secs_f64();
    // Each load ends by closing its connections, with at most one request in flight on each.
    let counted = ballots_counted(&web)?;
    if counted > acknowledged + loads * LOAD.0 as u64 {
        bail!("{acknowledged} ballots were acknowledged, {counted} are counted");
    }
    let memory_mb = web.companion()?.memory_peak_kib()? as f64 / 1024.0;
    web.stop()?;
    println!("{name}: {counted} ballots counted, {rate:.0} per second");
    Ok(Drained { rate, memory_mb })
}
