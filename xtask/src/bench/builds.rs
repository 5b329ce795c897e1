//! `cargo xtask bench builds`: votes and draining on this build, against another one, such as that of an earlier commit.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::bench_env::BenchEnv;
use super::contender::{Contender, Database, Kind, Processors};
use super::drain::{self, Drained};
use super::machine::Machine;
use super::plan::Plan;
use super::report::{Comparison, Fact, Ratio, Report, median};
use super::request::Request;
use super::runs::{self, Run};
use super::scaled_out::{self, ScaledOut};
use super::{load, machine};
use crate::packages::{self, SETPRIV};
use crate::services::{self, Services};

const CONNECTIONS: [usize; 3] = [64, 256, 1_000];

const THIS: &str = "this build";
const OTHER: &str = "the other build";
const THIS_SCALED_OUT: &str = "this build, on MariaDB through RabbitMQ";
const OTHER_SCALED_OUT: &str = "the other build, on MariaDB through RabbitMQ";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: THIS, bottom: OTHER, bars: &[(64, Some(0.98)), (256, Some(0.98)), (1_000, Some(0.98))] },
    Comparison {
        top: THIS_SCALED_OUT,
        bottom: OTHER_SCALED_OUT,
        bars: &[(64, None), (256, None), (1_000, Some(0.95))],
    },
];

/// What is compared.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// The other build's `throng`
    #[arg(long, value_name = "FILE")]
    other: PathBuf,
    /// This build's `throng` [default: it is built with the profile dist]
    #[arg(long, value_name = "FILE")]
    this: Option<PathBuf>,
    /// Ballots that a worker of each build drains from the queue, once per round
    #[arg(long, default_value_t = 500_000)]
    ballots: u64,
    /// Compare the embedded server only, without a broker and a worker
    #[arg(long)]
    embedded: bool,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    let bench_env = match &options.this {
        Some(_) => BenchEnv::without_build()?,
        None => BenchEnv::open()?,
    };
    let this = match &options.this {
        Some(this) => this.canonicalize().with_context(|| this.display().to_string())?,
        None => bench_env.throng(),
    };
    let other = options.other.canonicalize().with_context(|| options.other.display().to_string())?;
    ensure!(this != other, "both builds are {}", this.display());
    let services = if options.embedded { None } else { Some(Services::start(scaled_out::SERVERS.to_vec())?) };
    let machine = Machine::describe(&bench_env.scratch)?;
    let embedded = |name, program: &PathBuf| {
        let kind = Kind::Throng(program.clone(), Database::Fresh, Processors::MaySleep);
        Contender { name, kind, request: Request::Vote }
    };
    let mut contenders = vec![embedded(THIS, &this), embedded(OTHER, &other)];
    let mut systems = Vec::new();
    if let Some(services) = &services {
        for (name, short, program) in [(THIS_SCALED_OUT, "this", &this), (OTHER_SCALED_OUT, "other", &other)] {
            let system = ScaledOut::on(short, services::Kind::Mariadb, program.clone(), services)?;
            let kind = Kind::ScaledOut { system: system.clone(), worker: true };
            contenders.push(Contender { name, kind, request: Request::Vote });
            systems.push(system);
        }
    }
    let runs = runs::all(&options.plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let mut facts = memory_facts(&runs);
    if let [this, other] = &systems[..] {
        facts.push(drain_fact([this, other], options, &bench_env)?);
    }
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let notes = vec![format!("This build is {}, the other one is {}.", this.display(), other.display())];
    let (date, plan) = (machine::today(), Some(options.plan.clone()));
    Report { name: "builds", date, machine, plan, notes, facts, ratios, runs }.publish(&options.plan.out)?;
    Ok(runs::print_faults(&faults))
}

/// The peak memory of each embedded build with 1,000 voting clients.
fn memory_facts(runs: &[Run]) -> Vec<Fact> {
    let peak = |name: &str| {
        let votes = runs.iter().filter(|run| run.contender == name && run.connections == 1_000);
        votes.map(|run| run.memory_peak_mb).max_by(f64::total_cmp)
    };
    let fact = |name: &'static str| {
        peak(name).map(|peak| Fact::shown(format!("peak memory of {name}, 1,000 clients voting"), peak, "MB"))
    };
    [THIS, OTHER].into_iter().filter_map(fact).collect()
}

/// The median ratio of the two builds' rates of draining, one after the other in each round.
fn drain_fact(systems: [&ScaledOut; 2], options: &Options, bench_env: &BenchEnv) -> anyhow::Result<Fact> {
    let mut ratios = Vec::new();
    for _ in 0..options.plan.rounds {
        let [this, other] = systems.map(|system| drain::measure(system, "MariaDB", options.ballots, bench_env));
        let (Drained { rate: this, .. }, Drained { rate: other, .. }) = (this?, other?);
        ratios.push(this / other);
    }
    let ratio = median(ratios).context("nothing was drained")?;
    Ok(Fact::at_least("drain into MariaDB, this build / the other build".to_owned(), ratio, "", 0.95))
}
