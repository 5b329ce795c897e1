//! `cargo xtask bench drain`: how fast one worker records what waits on the queue.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::contender::Request;
use super::machine::Machine;
use super::report::{Fact, Report};
use super::runs::ballots_counted;
use super::scaled_out::{self, ScaledOut};
use super::{Workshop, load, machine};
use crate::packages::{self, SETPRIV};
use crate::services::{Kind, Services};
use crate::stopwatch::{Stopwatch, wait_patiently};

/// Connections and seconds of one load while the queue is filled.
const LOAD: (usize, u32) = (1_000, 5);

/// How long the worker may take.
const DRAINED_MAX: Duration = Duration::from_secs(600);

/// How much is drained.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Ballots that wait on the queue before the worker starts
    #[arg(long, default_value_t = 2_000_000)]
    ballots: u64,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

/// Measures, prints and stores.
///
/// # Errors
/// If it can't be measured, or a ballot is missing.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    machine::raise_descriptor_limit()?;
    let workshop = Workshop::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&workshop.scratch)?;
    let mut facts = Vec::new();
    for (kind, short, name) in [(Kind::Mariadb, "mariadb", "MariaDB"), (Kind::Postgres, "postgres", "PostgreSQL")] {
        let system = ScaledOut::on(short, kind, workshop.throng(), &services)?;
        let Drained { rate, memory_mb } = measure(&system, name, options.ballots, &workshop)?;
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

/// How a worker drained the queue.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Ballots a second.
    pub rate: f64,
    /// The most memory that the worker had, in MB.
    pub memory_mb: f64,
}

/// Fills the queue of a new system with `ballots`, and drains it with one worker.
///
/// # Errors
/// If it can't be measured, or a ballot is missing.
pub fn measure(system: &ScaledOut, name: &str, ballots: u64, workshop: &Workshop) -> anyhow::Result<Drained> {
    let (directory, system) = (tempfile::tempdir_in(&workshop.scratch)?, system.begin()?);
    let mut web = system.web(directory.path())?;
    let (mut answered, mut loads) = (0, 0);
    while answered < ballots {
        let seen = load::send(Request::Vote, web.address, LOAD.0, LOAD.1)?;
        if seen.errors > 0 {
            bail!("{} of the votes failed", seen.errors);
        }
        (answered, loads) = (answered + seen.requests, loads + 1);
        println!("{name}: {answered} of {ballots} ballots wait on the queue");
    }
    machine::wait_until_quiet()?;
    let watch = Stopwatch::start();
    system.worker(&mut web, directory.path())?;
    let all = || ballots_counted(&web).ok().filter(|counted| *counted >= answered);
    let Some(counted) = wait_patiently(DRAINED_MAX, all) else {
        bail!("{} of {answered} ballots were counted in {} s", ballots_counted(&web)?, DRAINED_MAX.as_secs());
    };
    let rate = counted as f64 / watch.elapsed().as_secs_f64();
    // Each load ends by hanging up, with at most one request under way on each connection.
    let counted = ballots_counted(&web)?;
    if counted > answered + loads * LOAD.0 as u64 {
        bail!("{answered} ballots were answered, {counted} are counted");
    }
    let memory_mb = web.beside()?.memory_peak_kib()? as f64 / 1024.0;
    web.stop()?;
    println!("{name}: {counted} ballots counted, {rate:.0} a second");
    Ok(Drained { rate, memory_mb })
}
