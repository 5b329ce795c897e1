//! Developer tasks: `cargo xtask test`, `cargo xtask services`, `cargo xtask bench …` and more.
#![expect(clippy::print_stdout, reason = "its output is for a developer at a terminal")]
#![expect(clippy::print_stderr, reason = "errors are for a developer at a terminal")]

mod api_tools;
mod bench;
mod children;
mod command;
mod compat;
mod deny;
mod faults;
mod mutants;
mod packages;
mod parallel;
mod proxies;
mod python;
mod services;
mod stopwatch;
mod test;
mod test_binary;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer tasks for Throng
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
    /// Check the licences and sources of all dependencies, and that none is banned
    Deny,
    /// Benchmark Throng against other servers on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Kill servers under load, fail their disk, stop them, and check that every guarantee holds
    Faults(faults::Options),
    /// Send many more votes through proxies than the tests do, and lose responses or reuse idle connections
    #[command(subcommand)]
    Proxies(proxies::Proxies),
    /// Start the servers that tests need, print their URLs, and run them until Ctrl-C
    Services(services::Options),
    /// Run the suites on later servers than this system has, and write docs/compatibility.md: takes an hour and needs root
    Compat(compat::Options),
    /// Install what the tests of the API's description run: linters, a fuzzer and generators of clients
    ApiTools,
    /// Check the fault tests: build servers with one deliberate fault each, which the tests must find
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Deny => deny::run(),
        Task::Bench(bench) => bench::run(&bench),
        Task::Faults(options) => faults::run(&options),
        Task::Proxies(proxies) => proxies::run(&proxies),
        Task::Services(options) => services::run(&options),
        Task::Compat(options) => compat::run(&options),
        Task::ApiTools => api_tools::ensure().map(|()| true),
        Task::Mutants(options) => mutants::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
