//! `cargo xtask faults`: runs the fault tests for a given number of rounds and shows their output.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::services::{self, Kind, Services};
use crate::test_binary::TestBinary;
use crate::{command, parallel};

/// The servers that a scaled-out system needs.
pub const ALL: &[Kind] = &[Kind::Mariadb, Kind::Postgres, Kind::Rabbitmq, Kind::Memcached];

/// Which faults are injected, and how often.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many times the server is killed under load; with --scaled-out, how many times each fault is injected
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Inject the faults of a scaled-out system, on private servers: a round of all takes about five minutes
    #[arg(long)]
    scaled_out: bool,
    /// With --scaled-out: distribute the faults over this many sets of servers, which are used in parallel
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8), requires = "scaled_out")]
    sets: u32,
    /// With --scaled-out: for how many seconds a server is unavailable when a node or worker is started (the tests named
    /// away_at_start), each of which must then be ready within a second of its return
    #[arg(long, value_name = "SECONDS", requires = "scaled_out")]
    away_s: Option<u32>,
    /// Repeat the kills of a run with this seed
    #[arg(long)]
    seed: Option<u64>,
    /// Test this binary instead of the one built from this tree
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Only the tests whose name contains one of these, such as kills
    only: Vec<String>,
}

/// Builds and runs the tests; returns whether they pass.
///
/// # Errors
/// If they can't be run.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let system = TestBinary::build(SYSTEM)?;
    if !options.scaled_out {
        let mut tests = with_options(without(&system, SCALED_OUT), options)?;
        let status = tests.args(&options.only).status();
        return Ok(status.context("the tests can't be run")?.success());
    }
    let kinds = services::unnamed(ALL.to_vec());
    if options.sets > 1 && kinds.len() < ALL.len() {
        bail!("--sets starts servers of its own: unset the THRONG_TEST_*_URL variables");
    }
    let names = tests_named(&system, &options.only)?;
    let count = names.len();
    let start = |number| Ok(Set { number, services: Services::start(kinds.clone())? });
    let sets: Vec<Set> = (1..=options.sets).map(start).collect::<anyhow::Result<_>>()?;
    let done = parallel::run_parallel(&sets, (1..).zip(&names).collect(), |set, (number, name): (usize, &String)| {
        println!("set {}: [{number}/{count}] {name}", set.number);
        let mut test = with_options(system.command(), options)?;
        test.args(["--exact", name]).envs(set.services.variables());
        report(set.number, test)
    });
    let mut trials = Trials::default();
    let mut failed = Vec::new();
    for (name, result) in names.iter().zip(done) {
        let (of_test, passed) = result?;
        trials.held += of_test.held;
        trials.acknowledged += of_test.acknowledged;
        if !passed {
            failed.push(name.as_str());
        }
    }
    let Trials { held, acknowledged } = trials;
    if failed.is_empty() {
        eprintln!("every guarantee held after {held} trials, with {acknowledged} ballots acknowledged");
    } else {
        eprintln!("{} of {count} tests failed, see their output above: {}", failed.len(), failed.join(", "));
        eprintln!("{held} trials passed, with {acknowledged} ballots acknowledged");
    }
    Ok(failed.is_empty())
}

/// Servers that one test at a time uses.
struct Set {
    number: u32,
    services: Services,
}

/// The tests of a scaled-out system whose names contain one of `only`; all if that is empty.
fn tests_named(system: &TestBinary, only: &[String]) -> anyhow::Result<Vec<String>> {
    let listed = command::output(system.command().arg("--list"))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test")?.strip_prefix(SCALED_OUT));
    let chosen = names.filter(|name| only.is_empty() || only.iter().any(|part| name.contains(part.as_str())));
    let chosen: Vec<_> = chosen.map(|name| format!("{SCALED_OUT}{name}")).collect();
    ensure!(!chosen.is_empty(), "no test has a name with {} in it", only.join(" or "));
    Ok(chosen)
}

/// Passes the options to tests as environment variables: the rounds, the seed, the binary.
fn with_options(mut tests: Command, options: &Options) -> anyhow::Result<Command> {
    tests.env("THRONG_FAULT_ROUNDS", options.rounds.to_string());
    if let Some(seed) = options.seed {
        tests.env("THRONG_FAULT_SEED", seed.to_string());
    }
    if let Some(seconds) = options.away_s {
        tests.env("THRONG_AWAY_S", seconds.to_string());
    }
    if let Some(bin) = &options.bin {
        tests.env("THRONG_BIN", bin.canonicalize().with_context(|| format!("no binary at {}", bin.display()))?);
    }
    Ok(tests)
}

/// The results of trials.
#[derive(Debug, Default)]
struct Trials {
    /// Trials after which every guarantee held.
    held: u64,
    acknowledged: u64,
}

/// Runs a test on one set of servers and forwards its output, prefixed with the set's number. Returns its trials, and whether
/// it ran and passed.
fn report(set: u32, mut tests: Command) -> anyhow::Result<(Trials, bool)> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("the test can't be run")?;
    let (mut trials, mut ran) = (Trials::default(), false);
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line?;
        if !line.is_empty() {
            println!("set {set}: {line}");
        }
        ran |= line.starts_with(PASSED);
        if line.ends_with(HELD) {
            trials.held += 1;
            let ballots = line.trim_start_matches('.').split(' ').next();
            trials.acknowledged += ballots.and_then(|number| number.parse().ok()).unwrap_or(0);
        }
    }
    Ok((trials, child.wait()?.success() && ran))
}

/// The start of the result line of a test that ran and passed.
const PASSED: &str = "test result: ok. 1 passed";

/// The end of a trial's last line, which begins with the number of ballots.
const HELD: &str = "lost 0, doubled 0";

/// The test binary with all faults.
const SYSTEM: &str = "system";

/// Its module with the faults of a single server.
const EMBEDDED: &str = "faults::";

/// Its module with the faults of a scaled-out system.
const SCALED_OUT: &str = "scaled_out::";

/// Its module that injects no fault of a kind that is chosen here.
const SUPERVISED: &str = "supervised::";

/// The fault tests of a single server. Arguments that are added choose among them.
///
/// # Errors
/// If they can't be built.
pub fn tests() -> anyhow::Result<Command> {
    Ok(without(&TestBinary::build(SYSTEM)?, SCALED_OUT))
}

/// The same for those of a scaled-out system.
///
/// # Errors
/// If they can't be built.
pub fn scaled_out_tests() -> anyhow::Result<Command> {
    Ok(without(&TestBinary::build(SYSTEM)?, EMBEDDED))
}

/// The tests without those of a module. Filters are alternatives, so that only skipping leaves room for a choice.
fn without(system: &TestBinary, module: &str) -> Command {
    let mut tests = system.command();
    tests.args(["--skip", module, "--skip", SUPERVISED]);
    tests
}
