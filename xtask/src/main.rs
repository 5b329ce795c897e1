//! What a developer of Throng runs: `cargo xtask test`, `cargo xtask services`, `cargo xtask bench …` and more.
#![expect(clippy::print_stdout, reason = "a developer reads what it prints")]
#![expect(clippy::print_stderr, reason = "and why it failed")]

mod bench;
mod children;
mod command;
mod compat;
mod deny;
mod faults;
mod mutants;
mod packages;
mod proxies;
mod services;
mod side_by_side;
mod stopwatch;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of Throng runs
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the format, the lints and every test; ends with `throng: N passed, N failed`
    Test(test::Options),
    /// Check the licences and the sources of all dependencies, and what is banned
    Deny,
    /// Measure Throng against other servers, side by side on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Kill servers under load, break their disk, stop them, and check that every promise is kept
    Faults(faults::Options),
    /// Send many more votes through proxies than the tests do, and lose responses or use idle connections again
    #[command(subcommand)]
    Proxies(proxies::Proxies),
    /// Start the servers that tests need, print where they are, and keep them until Ctrl-C
    Services(services::Options),
    /// Run the suites on later servers than this system has, and write docs/compatibility.md: an hour, and needs root
    Compat(compat::Options),
    /// Check the checker: build servers with a fault of ours in each, which the fault tests must find
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Deny => deny::run(),
        Task::Bench(bench) => bench::run(&bench),
        Task::Faults(options) => faults::run(&options),
        Task::Proxies(proxies) => proxies::run(&proxies),
        Task::Services(options) => services::run(&options),
        Task::Compat(options) => compat::run(&options),
        Task::Mutants(options) => mutants::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
