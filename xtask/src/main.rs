//! What a developer of Throng runs: `cargo xtask faults`, `cargo xtask mutants`.
#![expect(clippy::print_stdout, reason = "a developer reads what it prints")]
#![expect(clippy::print_stderr, reason = "and why it failed")]

mod faults;
mod mutants;

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
    /// Kill servers under load, break their disk, stop them, and check that every promise is kept
    Faults(faults::Options),
    /// Check the checker: build servers with a fault of ours in each, which the fault tests must find
    Mutants,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Faults(options) => faults::run(&options),
        Task::Mutants => mutants::run(),
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
