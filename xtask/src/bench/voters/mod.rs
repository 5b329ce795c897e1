//! `cargo xtask bench voters`: whether votes cost more in a poll whose policy identifies its voters, ten million of whom have voted:
//! on a file, through RabbitMQ, and with tokens that a publisher has signed.

mod embedded;
mod measured;
mod scaled_out;
mod server_seed;
mod signed;
mod tokens;

use clap::Args;

use super::bench_env::BenchEnv;
use super::machine::{self, Machine};
use super::plan::Plan;
use super::report::{Ratio, Report};
use super::{load, runs};
use crate::packages;

/// How `cargo xtask bench voters` runs.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// Voters who have voted before, and as many ballots where everyone may vote any number of times
    #[arg(long, default_value_t = 10_000_000)]
    voters: u64,
    #[command(flatten)]
    groups: Groups,
}

/// What is measured: everything, unless some of these are given.
#[derive(Clone, Copy, Debug, Args)]
struct Groups {
    /// Measure only the policy `device` on an SQLite file, and what else is given
    #[arg(long)]
    embedded: bool,
    /// Measure only the policy `device` through RabbitMQ into MariaDB and PostgreSQL, and what else is given
    #[arg(long)]
    scaled_out: bool,
    /// Measure only the policy `signed` on an SQLite file, and what else is given
    #[arg(long)]
    signed: bool,
}

impl Groups {
    fn or_all(self) -> Self {
        let Self { embedded, scaled_out, signed } = self;
        if embedded || scaled_out || signed {
            return self;
        }
        Self { embedded: true, scaled_out: true, signed: true }
    }
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run, or the votes don't identify voters.
pub fn run(Options { plan, voters, groups }: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, packages::SETPRIV])?;
    let groups = groups.or_all();
    let bench_env = BenchEnv::open()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let mut measured = Vec::new();
    if groups.embedded {
        measured.push(embedded::measure(plan, *voters, &bench_env)?);
    }
    if groups.scaled_out {
        measured.push(scaled_out::measure(plan, *voters, &bench_env)?);
    }
    if groups.signed {
        measured.push(signed::measure(plan, &bench_env)?);
    }
    let (mut notes, mut facts, mut ratios, mut runs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for group in measured {
        ratios.extend(Ratio::all(group.comparisons, &group.runs));
        notes.extend(group.notes);
        facts.extend(group.facts);
        runs.extend(group.runs);
    }
    let faults = runs::faults(&runs);
    let date = machine::today();
    Report { name: "voters", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs }
        .publish(&plan.out)?;
    Ok(runs::print_faults(&faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_measured_unless_some_are_given() {
        let groups = |embedded, scaled_out, signed| {
            let Groups { embedded, scaled_out, signed } = Groups { embedded, scaled_out, signed }.or_all();
            [embedded, scaled_out, signed]
        };
        assert_eq!(groups(false, false, false), [true; 3]);
        assert_eq!(groups(false, true, false), [false, true, false]);
        assert_eq!(groups(true, false, true), [true, false, true]);
    }
}
