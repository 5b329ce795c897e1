//! `cargo xtask test`: everything that must be green before a change is in.

mod steps;
mod total;

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use self::steps::{Binary, Stage, Step};
use self::total::{Reported, Total};
use crate::children::{self, Spared};
use crate::command::{self, Ended, Job};
use crate::packages::{self, Program};
use crate::services::{self, Kind, Services};

/// How `cargo xtask test` runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Leave out the tests that need a program installed: a browser, strace, a database server and the like
    #[arg(long)]
    quick: bool,
}

/// What to do where something that is needed can't be had.
const QUICK: &str = "`cargo xtask test --quick` leaves out the tests that need this";

/// Runs every step, also after one has failed, and ends with the line that says how many checks passed and failed.
/// Whether all did.
///
/// # Errors
/// None: what goes wrong is printed and counted, so that the closing line is always the last one.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let total = run_stages(options.quick).unwrap_or_else(|error| {
        println!("xtask: {error:#}");
        Total { passed: 0, failed: 1 }
    });
    println!("throng: {}", total.words());
    Ok(total.failed == 0)
}

/// The programs that a test binary needs.
pub fn programs(binary: &str) -> &'static [Program] {
    steps::need(binary).map_or(&[], |need| need.programs)
}

fn run_stages(quick: bool) -> anyhow::Result<Total> {
    let binaries = Binary::all()?;
    let needs = || binaries.iter().filter_map(Binary::need);
    if !quick {
        let mut programs: Vec<Program> = needs().flat_map(|need| need.programs).copied().collect();
        programs.extend(steps::STEPS_NEED);
        packages::ensure(&programs).context(QUICK)?;
    }
    children::adopt_orphans()?;
    let kinds = needs().flat_map(|need| need.servers).copied().collect();
    let services = if quick { None } else { Some(servers(kinds).context(QUICK)?) };
    let spared = || services.iter().flat_map(Services::pids).collect();
    let stages = steps::stages(quick, &binaries);
    let (count, mut total) = (stages.len(), Total::default());
    let (mut summary, mut failures) = (Vec::new(), Vec::new());
    for (number, mut stage) in (1..).zip(stages) {
        println!();
        for step in stage.iter_mut().flatten() {
            println!("[{number}/{count}] {}: {}", step.name, command::typed_with_variables(&step.command));
            if step.shares_servers {
                step.command.envs(services.iter().flat_map(Services::variables));
            }
        }
        for Done { name, result, failed, took } in run_stage(stage, &spared)? {
            failures.extend(failed.into_iter().map(|test| format!("FAILED: {name}: {test}")));
            summary.push(format!("{name}: {}, {:.1} s", result.words(), took.as_secs_f64()));
            total += result;
        }
    }
    // Last, so that the end of a long log has all that matters.
    println!("\n{}", [failures, summary].concat().join("\n"));
    let left_out = binaries.iter().filter(|binary| quick && binary.need().is_some());
    let left_out: Vec<_> = left_out.map(|binary| binary.name.as_str()).collect();
    if !left_out.is_empty() {
        println!("left out: {}; `cargo xtask test` runs them too", left_out.join(", "));
    }
    Ok(total)
}

/// What came of a step.
struct Done {
    name: String,
    result: Total,
    /// What failed, by name.
    failed: Vec<String>,
    took: Duration,
}

/// Takes the steps of a stage: its lanes at once, the steps of each one after the other.
fn run_stage(stage: Stage, spared: &Spared<'_>) -> anyhow::Result<Vec<Done>> {
    let together = stage.len() > 1;
    let mut reports: Vec<Vec<Reported>> =
        stage.iter().map(|lane| lane.iter().map(|_| Reported::default()).collect()).collect();
    let mut names = Vec::new();
    let mut lanes = Vec::new();
    for (lane, reports) in stage.into_iter().zip(&mut reports) {
        let mut jobs = Vec::new();
        for (Step { name, command, counts, .. }, report) in lane.into_iter().zip(reports) {
            let prefix = if together { format!("{name}: ") } else { String::new() };
            jobs.push(Job { command, prefix, line: Box::new(|line| report.read(line)) });
            names.push((name, counts));
        }
        lanes.push(jobs);
    }
    let (ended, left_behind) = command::stream(lanes, spared)?;
    let mut done: Vec<Done> = Vec::new();
    let reports = reports.into_iter().flatten();
    for (((name, counts), report), Ended { succeeded, took }) in
        names.into_iter().zip(reports).zip(ended.into_iter().flatten())
    {
        let (result, faults) = Total::of(counts, &report, succeeded);
        for fault in &faults {
            println!("xtask: {name}: {fault}");
        }
        done.push(Done { name, result, failed: [report.names, faults].concat(), took });
    }
    if !left_behind.is_empty() {
        let name = format!("left behind by these, and killed: {}", left_behind.join(", "));
        done.push(Done { name, result: Total { passed: 0, failed: 1 }, failed: Vec::new(), took: Duration::ZERO });
    }
    Ok(done)
}

/// Starts the servers of these kinds that no variable names yet.
fn servers(mut kinds: Vec<Kind>) -> anyhow::Result<Services> {
    kinds.sort_unstable();
    kinds.dedup();
    Services::start(services::unnamed(kinds))
}
