//! `cargo xtask bench growth`: whether a file with many ballots slows down further votes.

use clap::Args;

use super::bench_env::BenchEnv;
use super::contender::{Contender, Database, Kind, Processors, start_throng};
use super::machine::Machine;
use super::plan::Plan;
use super::report::{Comparison, Ratio, Report};
use super::request::Request;
use super::seed::Voters;
use super::{load, machine, runs, seed};
use crate::packages;
use crate::stopwatch::Stopwatch;

const CONNECTIONS: [usize; 2] = [64, 1000];

const VOTE_FULL: &str = "vote, full file";
const VOTE_EMPTY: &str = "vote, empty file";
const RESULT_FULL: &str = "result, full file";
const RESULT_EMPTY: &str = "result, empty file";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: VOTE_FULL, bottom: VOTE_EMPTY, bars: &[(64, Some(0.9)), (1000, Some(0.9))] },
    // Unchanged, except for noise.
    Comparison { top: RESULT_FULL, bottom: RESULT_EMPTY, bars: &[(64, Some(0.95)), (1000, Some(0.95))] },
];

/// How `cargo xtask bench growth` runs.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// Ballots in the full file
    #[arg(long, default_value_t = 10_000_000)]
    ballots: u64,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(Options { plan, ballots }: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, packages::SETPRIV])?;
    let bench_env = BenchEnv::open()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let file = directory.path().join("full.db");
    println!("seeding {ballots} ballots");
    let watch = Stopwatch::start();
    // On its first start, Throng creates its tables and the demo poll.
    start_throng(&bench_env.throng(), directory.path(), &file, Processors::Awake)?.stop()?;
    seed::seed(&file, Voters::Unlimited, *ballots, machine::now_ms())?;
    let size_mb = std::fs::metadata(&file)?.len() / 1_000_000;
    println!("seeded in {:.0} s, {size_mb} MB", watch.elapsed().as_secs_f64());

    let contender = |name, database, request| {
        let kind = Kind::Throng(bench_env.throng(), database, Processors::Awake);
        Contender { name, kind, request }
    };
    let contenders = [
        contender(VOTE_FULL, Database::Kept(file.clone()), Request::Vote),
        contender(VOTE_EMPTY, Database::Fresh, Request::Vote),
        contender(RESULT_FULL, Database::Kept(file.clone()), Request::Result),
        contender(RESULT_EMPTY, Database::Fresh, Request::Result),
    ];
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let (date, notes) =
        (machine::today(), vec![format!("The full file had {ballots} ballots ({size_mb} MB) at the start.")]);
    let facts = Vec::new();
    Report { name: "growth", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs }
        .publish(&plan.out)?;
    Ok(runs::print_faults(&faults))
}
