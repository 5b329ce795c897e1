//! `cargo xtask test`: all checks that must pass before a change is merged.

mod steps;
mod total;

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use self::steps::{Binary, Stage, Step};
use self::total::{Reported, Total};
use crate::api_tools;
use crate::children::{self, Exempt};
use crate::command::{self, Ended, Job};
use crate::packages::{self, Program};
use crate::services::{self, Kind, Services};

/// How `cargo xtask test` runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Skip the tests that need installed programs, such as a browser, strace or a database server
    #[arg(long)]
    quick: bool,
}

/// The advice for when a requirement can't be met.
const QUICK: &str = "`cargo xtask test --quick` leaves out the tests that need this";

/// Runs every step, even after one has failed, and prints as its last line how many checks passed and failed. Returns whether
/// all passed.
///
/// # Errors
/// None: errors are printed and counted, so that the summary is always the last line.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let total = run_stages(options.quick).unwrap_or_else(|error| {
        println!("xtask: {error:#}");
        Total { passed: 0, failed: 1 }
    });
    println!("throng: {}", total.summary());
    Ok(total.failed == 0)
}

/// How many failed tests of a step are named at the end.
const FAILED_NAMED: usize = 10;

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
        steps::RECOUNT.ensure().context(QUICK)?;
        api_tools::ensure().context(QUICK)?;
    }
    children::adopt_orphans()?;
    let kinds = needs().flat_map(|need| need.servers).copied().collect();
    let services = if quick { None } else { Some(servers(kinds).context(QUICK)?) };
    let exempt = || services.iter().flat_map(Services::pids).collect();
    let stages = steps::stages(quick, &binaries);
    let (count, mut total) = (stages.len(), Total::default());
    let (mut summary, mut failures) = (Vec::new(), Vec::new());
    for (number, mut stage) in (1..).zip(stages) {
        println!();
        let logs = services.as_ref().map(Services::log_bytes).unwrap_or_default();
        let mut on_servers = Vec::new();
        for step in stage.iter_mut().flatten() {
            println!("[{number}/{count}] {}: {}", step.name, command::command_line_with_variables(&step.command));
            if step.shares_servers {
                on_servers.push(step.name.clone());
                step.command.envs(services.iter().flat_map(Services::variables));
            }
        }
        let mut logged = Vec::new();
        for StepResult { name, result, failed, took } in run_stage(stage, &exempt)? {
            if result.failed > 0 && on_servers.contains(&name) {
                logged = services.iter().flat_map(|services| services.errors_since(&logs)).collect();
            }
            failures.extend(listed(&name, failed));
            summary.push(format!("{name}: {}, {:.1} s", result.summary(), took.as_secs_f64()));
            total += result;
        }
        failures.extend(logged);
    }
    // Printed last, so that the end of a long log has the relevant results.
    println!("\n{}", [failures, summary].concat().join("\n"));
    let left_out = binaries.iter().filter(|binary| quick && binary.need().is_some());
    let left_out: Vec<_> = left_out.map(|binary| binary.name.as_str()).collect();
    if !left_out.is_empty() {
        println!("left out: {}; `cargo xtask test` runs them too", left_out.join(", "));
    }
    Ok(total)
}

/// The lines that name a step's failed tests. One cause may fail all of them, so only the first are named.
fn listed(step: &str, failed: Vec<String>) -> Vec<String> {
    let more = failed.len().saturating_sub(FAILED_NAMED);
    let named = failed.into_iter().take(FAILED_NAMED).map(|test| format!("FAILED: {step}: {test}"));
    let more = (more > 0).then(|| format!("FAILED: {step}: {more} more, named above"));
    named.chain(more).collect()
}

/// The result of a step.
struct StepResult {
    name: String,
    result: Total,
    /// The names of failed tests, and other faults.
    failed: Vec<String>,
    took: Duration,
}

/// Runs the steps of a stage: its lanes in parallel, the steps of each lane in order.
fn run_stage(stage: Stage, exempt: &Exempt<'_>) -> anyhow::Result<Vec<StepResult>> {
    let in_parallel = stage.len() > 1;
    let mut reports: Vec<Vec<Reported>> =
        stage.iter().map(|lane| lane.iter().map(|_| Reported::default()).collect()).collect();
    let mut names = Vec::new();
    let mut lanes = Vec::new();
    for (lane, reports) in stage.into_iter().zip(&mut reports) {
        let mut jobs = Vec::new();
        for (Step { name, command, counts, .. }, report) in lane.into_iter().zip(reports) {
            let prefix = if in_parallel { format!("{name}: ") } else { String::new() };
            jobs.push(Job { command, prefix, line: Box::new(|line| report.read(line)) });
            names.push((name, counts));
        }
        lanes.push(jobs);
    }
    let (ended, left_behind) = command::stream(lanes, exempt)?;
    let mut done: Vec<StepResult> = Vec::new();
    let reports = reports.into_iter().flatten();
    for (((name, counts), report), Ended { succeeded, took }) in
        names.into_iter().zip(reports).zip(ended.into_iter().flatten())
    {
        let (result, faults) = Total::of(counts, &report, succeeded);
        for fault in &faults {
            println!("xtask: {name}: {fault}");
        }
        done.push(StepResult { name, result, failed: [report.names, faults].concat(), took });
    }
    if !left_behind.is_empty() {
        let name = format!("processes left behind by this stage, and killed: {}", left_behind.join(", "));
        done.push(StepResult {
            name,
            result: Total { passed: 0, failed: 1 },
            failed: Vec::new(),
            took: Duration::ZERO,
        });
    }
    Ok(done)
}

/// Starts the servers of these kinds that no environment variable names.
fn servers(mut kinds: Vec<Kind>) -> anyhow::Result<Services> {
    kinds.sort_unstable();
    kinds.dedup();
    Services::start(services::unnamed(kinds))
}
