//! `cargo xtask proxies`: the long campaigns of the tests that go through proxies.

use std::process::Command;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{faults, packages, test};

/// What is done to votes that go through proxies.
#[derive(Debug, Subcommand)]
pub enum Proxies {
    /// Lose a third of the responses to ballots that other people's programs send, by each way, with and without an id; and those
    /// to voters with a browser, with and without script
    Resends(Resends),
}

/// How much is sent.
#[derive(Debug, Args)]
pub struct Resends {
    /// Ballots of each client on each way, half of them with an id
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    ballots: u32,
    /// Voters with a browser on each way
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    voters: u32,
}

/// Runs a campaign; whether its test passes.
///
/// # Errors
/// If it can't be run.
pub fn run(proxies: &Proxies) -> anyhow::Result<bool> {
    packages::ensure(test::programs(PROXIES))?;
    match proxies {
        Proxies::Resends(options) => lose_responses(options),
    }
}

/// The test binary of clients and proxies.
const PROXIES: &str = "proxies";

/// Whether both pass: the programs' ballots, and the voters with a browser.
fn lose_responses(options: &Resends) -> anyhow::Result<bool> {
    let mut programs = tests(PROXIES, "resends::");
    programs.env("THRONG_RESEND_BALLOTS", options.ballots.to_string());
    let mut browsers = tests("browser", "lost_responses::");
    browsers.env("THRONG_RESEND_VOTERS", options.voters.to_string());
    let programs = passes(programs)?;
    Ok(passes(browsers)? && programs)
}

/// The tests of a binary whose names begin so.
fn tests(binary: &str, named: &str) -> Command {
    let mut tests = faults::tests_of(binary);
    tests.arg(named);
    tests
}

fn passes(mut tests: Command) -> anyhow::Result<bool> {
    Ok(tests.status().context("cargo can't be run")?.success())
}
