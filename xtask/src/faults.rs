//! `cargo xtask faults`: the fault tests, with as many rounds as asked for and their report shown.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, anyhow, bail};

use crate::services::{self, Kind, Services};

/// What a system needs that is scaled out.
pub const ALL: &[Kind] = &[Kind::Mariadb, Kind::Postgres, Kind::Rabbitmq, Kind::Memcached];

/// What to put to how many faults.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many times the server is killed under load; with --scaled-out, how many times each fault is put
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Put the faults of a system that is scaled out, on private servers: a round of all takes some five minutes
    #[arg(long)]
    scaled_out: bool,
    /// With --scaled-out: share the rounds among so many sets of servers, that are harmed at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8), requires = "scaled_out")]
    sets: u32,
    /// Repeat the kills that a run with this seed made
    #[arg(long)]
    seed: Option<u64>,
    /// The binary put to it, instead of the one built from this tree
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Only the tests whose name contains one of these, such as kills
    only: Vec<String>,
}

/// Builds and runs the tests; whether they pass.
///
/// # Errors
/// If they can't be run.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    if !options.scaled_out {
        let status = with_options(tests(), options, options.rounds, 0)?.status();
        return Ok(status.context("cargo can't be run")?.success());
    }
    let kinds = services::unnamed(ALL.to_vec());
    if options.sets > 1 && kinds.len() < ALL.len() {
        bail!("--sets starts servers of its own: unset the THRONG_TEST_*_URL variables");
    }
    let mut build = tests_of("scaled_out");
    build.arg("--list").stdout(Stdio::null());
    if !build.status().context("cargo can't be run")?.success() {
        return Ok(false);
    }
    let sets: Vec<Services> = (0..options.sets).map(|_| Services::start(kinds.clone())).collect::<Result<_, _>>()?;
    let rounds = options.rounds.div_ceil(options.sets);
    thread::scope(|scope| {
        let running: Vec<_> = (0..)
            .zip(&sets)
            .map(|(set, services)| {
                let mut tests = with_options(tests_of("scaled_out"), options, rounds, set)?;
                tests.envs(services.variables());
                Ok(scope.spawn(move || report(set, tests)))
            })
            .collect::<anyhow::Result<_>>()?;
        let mut trials = Trials::default();
        let mut passed = true;
        for one in running {
            let (its, success) = one.join().map_err(|_| anyhow!("reporting panicked"))??;
            trials.settled += its.settled;
            trials.acknowledged += its.acknowledged;
            passed &= success;
        }
        let Trials { settled, acknowledged } = trials;
        let others = if passed { "" } else { "; what else there was is above" };
        eprintln!("every promise held after {settled} trials, with {acknowledged} ballots acknowledged{others}");
        Ok(passed)
    })
}

/// Has tests know what they are told: the rounds, the seed (another one for each set of servers), the binary.
fn with_options(mut tests: Command, options: &Options, rounds: u32, set: u32) -> anyhow::Result<Command> {
    tests.args(&options.only).env("THRONG_FAULT_ROUNDS", rounds.to_string());
    if let Some(seed) = options.seed {
        tests.env("THRONG_FAULT_SEED", seed.wrapping_add(set.into()).to_string());
    }
    if let Some(bin) = &options.bin {
        tests.env("THRONG_BIN", bin.canonicalize().with_context(|| format!("no binary at {}", bin.display()))?);
    }
    Ok(tests)
}

/// What a set's trials ended in.
#[derive(Debug, Default)]
struct Trials {
    /// Trials after which everything held.
    settled: u64,
    acknowledged: u64,
}

/// Runs the tests on one set of servers, passing on what they say with the set's number before it; whether they pass.
fn report(set: u32, mut tests: Command) -> anyhow::Result<(Trials, bool)> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cargo can't be run")?;
    let mut trials = Trials::default();
    for line in child.stdout.take().into_iter().flat_map(|said| BufReader::new(said).lines()) {
        let line = line?;
        println!("set {}: {line}", set + 1);
        if line.ends_with(SETTLED) {
            trials.settled += 1;
            let words = line.trim_start_matches('.').split(' ').next();
            trials.acknowledged += words.and_then(|number| number.parse().ok()).unwrap_or(0);
        }
    }
    Ok((trials, child.wait()?.success()))
}

/// What a trial's last line ends with, after the number of ballots that it begins with.
const SETTLED: &str = "lost 0, doubled 0";

/// The fault tests of a server by itself, one after the other, reporting.
pub fn tests() -> Command {
    tests_of("faults")
}

/// Those in a test binary of this name.
pub fn tests_of(binary: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--package", "throng", "--test", binary, "--", "--nocapture", "--test-threads=1"]);
    cargo
}
