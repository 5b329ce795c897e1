//! `cargo xtask test`: everything that must be green before a change is in.

use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use crate::children::{self, Spared};
use crate::command::{self, Ended, cargo};
use crate::packages::{self, Program};
use crate::services::{self, Kind, Services};
use crate::stopwatch::Stopwatch;

/// How `cargo xtask test` runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Leave out the tests that need a program installed: a browser, strace, a database server and the like
    #[arg(long)]
    quick: bool,
}

/// What a test binary needs, beside Rust.
struct Need {
    binary: &'static str,
    programs: &'static [Program],
    servers: &'static [Kind],
}

const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
const CHROMEDRIVER: Program = Program { name: "chromedriver", package: "chromium-driver" };
const STRACE: Program = Program { name: "strace", package: "strace" };
const NGINX: Program = Program { name: "nginx", package: "nginx-light" };
const APACHE: Program = Program { name: "apache2", package: "apache2" };

const SUPERVISORD: Program = Program { name: "supervisord", package: "supervisor" };

const ALL: &[Kind] = &[Kind::Mariadb, Kind::Postgres, Kind::Rabbitmq, Kind::Memcached];

/// All test binaries that need more than Rust.
const NEEDS: &[Need] = &[
    Need { binary: "browser", programs: &[CHROMIUM, CHROMEDRIVER], servers: &[] },
    Need { binary: "faults", programs: &[STRACE], servers: &[] },
    Need { binary: "memcached", programs: &[], servers: &[Kind::Memcached] },
    Need { binary: "mysql", programs: &[], servers: &[Kind::Mariadb] },
    Need { binary: "postgres", programs: &[], servers: &[Kind::Postgres] },
    Need { binary: "proxies", programs: &[NGINX, APACHE], servers: &[] },
    Need { binary: "rabbitmq", programs: &[], servers: &[Kind::Rabbitmq] },
    Need { binary: "scaled_out", programs: &[], servers: ALL },
    Need { binary: "supervised", programs: &[SUPERVISORD], servers: ALL },
];

/// What to do where one of these can't be had.
const QUICK: &str = "`cargo xtask test --quick` leaves out the tests that need this";

/// One thing that is checked.
struct Step {
    name: &'static str,
    command: Command,
    counts: Counts,
}

/// What a step adds to the count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// One: it succeeds or fails as a whole.
    Itself,
    /// The tests that it reports in lines of `test result: …`.
    Tests,
}

/// Where the routes are tested beside a file alone: a database, and what stands before it. The cache is used behind a
/// broker alone.
const ROUTES: [(&str, Option<&str>, Option<&str>); 8] = [
    ("routes on MariaDB", Some("mysql"), None),
    ("routes on PostgreSQL", Some("postgres"), None),
    ("routes on a file, RabbitMQ before it", None, Some("broker")),
    ("routes on MariaDB, RabbitMQ before it", Some("mysql"), Some("broker")),
    ("routes on PostgreSQL, RabbitMQ before it", Some("postgres"), Some("broker")),
    ("routes on a file, RabbitMQ and memcached before it", None, Some("broker+cache")),
    ("routes on MariaDB, RabbitMQ and memcached before it", Some("mysql"), Some("broker+cache")),
    ("routes on PostgreSQL, RabbitMQ and memcached before it", Some("postgres"), Some("broker+cache")),
];

/// All steps, in order. To add one, add it here.
fn steps(options: &Options, binaries: &[String]) -> Vec<Step> {
    let step = |name, arguments: &str, counts| Step { name, command: cargo(arguments), counts };
    let mut steps = vec![
        step("format", "fmt --all --check", Counts::Itself),
        step("lints", "clippy --workspace --all-targets -- -D warnings", Counts::Itself),
    ];
    if options.quick {
        let chosen: Vec<_> = binaries.iter().filter(|name| need(name).is_none()).collect();
        let chosen: String = chosen.iter().map(|name| format!(" --test {name}")).collect();
        let tests = format!("test --workspace --no-fail-fast --lib --bins --examples{chosen}");
        steps.push(step("tests", &tests, Counts::Tests));
        steps.push(step("examples in the docs", "test --workspace --no-fail-fast --doc", Counts::Tests));
    } else {
        steps.push(step("tests", "test --workspace --no-fail-fast", Counts::Tests));
        for (name, on, behind) in ROUTES {
            let mut routes = step(name, "test --package throng --no-fail-fast --test routes", Counts::Tests);
            routes.command.envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
            if let Some(behind) = behind {
                // Each test waits for queues of its own to settle: more of them at a time than there are processors.
                routes.command.env("THRONG_TEST_ROUTES_BEHIND", behind).env("RUST_TEST_THREADS", "16");
            }
            steps.push(routes);
        }
        let otlp = "test --package throng --features otlp --no-fail-fast --test otlp";
        steps.push(step("the feature otlp", otlp, Counts::Tests));
        steps.push(step("mutants", "run --quiet --package xtask -- mutants", Counts::Itself));
    }
    steps
}

/// Runs every step, also after one has failed, and ends with the line that says how many checks passed and failed.
/// Whether all did.
///
/// # Errors
/// None: what goes wrong is printed and counted, so that the closing line is always the last one.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let total = run_steps(options).unwrap_or_else(|error| {
        println!("xtask: {error:#}");
        Total { passed: 0, failed: 1 }
    });
    println!("throng: {} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

fn run_steps(options: &Options) -> anyhow::Result<Total> {
    let binaries = test_binaries(&command::metadata()?)?;
    if !options.quick {
        let programs: Vec<Program> = needs(&binaries).flat_map(|need| need.programs).copied().collect();
        packages::ensure(&programs).context(QUICK)?;
    }
    children::adopt_orphans()?;
    let services = if options.quick { None } else { Some(servers(&binaries).context(QUICK)?) };
    let mut steps = steps(options, &binaries);
    for (variable, value) in services.iter().flat_map(Services::variables) {
        for step in &mut steps {
            step.command.env(&variable, &value);
        }
    }
    let spared = || services.iter().flat_map(Services::pids).collect();
    let (count, mut total, mut tests, mut summary) = (steps.len(), Total::default(), 0, Vec::new());
    for (number, step) in (1..).zip(steps) {
        println!("\n[{number}/{count}] {}: {}", step.name, command::typed(&step.command));
        let watch = Stopwatch::start();
        let (name, counts, result) = (step.name, step.counts, step.run(&spared)?);
        summary.push(format!("{name}: {}, {:.1} s", result.words(), watch.elapsed().as_secs_f64()));
        total.passed += result.passed;
        total.failed += result.failed;
        if counts == Counts::Tests {
            tests += result.passed + result.failed;
        }
    }
    if tests == 0 {
        summary.push("no test ran at all".to_owned());
        total.failed += 1;
    }
    println!("\n{}", summary.join("\n"));
    let left_out: Vec<_> = binaries.iter().filter(|name| options.quick && need(name).is_some()).cloned().collect();
    if !left_out.is_empty() {
        println!("left out: {}; `cargo xtask test` runs them too", left_out.join(", "));
    }
    Ok(total)
}

impl Step {
    fn run(mut self, spared: &Spared<'_>) -> anyhow::Result<Total> {
        let mut tests = Total::default();
        let mut ignored = 0;
        let Ended { succeeded, left_behind } = command::stream(&mut self.command, spared, |line| {
            if let Some(reported) = Reported::parse(line) {
                tests.passed += reported.passed;
                tests.failed += reported.failed;
                ignored += reported.ignored;
            }
        })?;
        let mut total = match self.counts {
            Counts::Itself => Total { passed: u64::from(succeeded), failed: u64::from(!succeeded) },
            Counts::Tests => tests,
        };
        let mut fail = |checks, why: String| {
            println!("xtask: {}: {why}", self.name);
            total.failed += checks;
        };
        if !succeeded && tests.failed == 0 && self.counts == Counts::Tests {
            fail(1, "it failed without a failed test; its own words are above".to_owned());
        }
        if ignored > 0 {
            fail(ignored, format!("ignored tests: {ignored}; a test that isn't run says nothing"));
        }
        if !left_behind.is_empty() {
            fail(1, format!("it left processes behind, which were killed: {}", left_behind.join(", ")));
        }
        Ok(total)
    }
}

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    passed: u64,
    failed: u64,
}

impl Total {
    fn words(self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// What one test binary reports at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reported {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Reported {
    /// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`; `None` for any other line.
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("test result: ")?;
        let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        let before = |name: &str| words.windows(2).find(|pair| pair[1] == name)?[0].parse().ok();
        Some(Self { passed: before("passed")?, failed: before("failed")?, ignored: before("ignored")? })
    }
}

/// The names of all test binaries, of all packages.
fn test_binaries(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
    let is_test = |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"test".into()));
    let mut names: Vec<_> =
        targets.filter(is_test).filter_map(|target| target["name"].as_str()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Starts the servers that these tests need and that no variable names yet.
fn servers(binaries: &[String]) -> anyhow::Result<Services> {
    let mut kinds: Vec<Kind> = needs(binaries).flat_map(|need| need.servers).copied().collect();
    kinds.sort_unstable();
    kinds.dedup();
    Services::start(services::unnamed(kinds))
}

fn needs(binaries: &[String]) -> impl Iterator<Item = &'static Need> {
    binaries.iter().filter_map(|name| need(name))
}

fn need(binary: &str) -> Option<&'static Need> {
    NEEDS.iter().find(|need| need.binary == binary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_line_is_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s";
        assert_eq!(Reported::parse(line), Some(Reported { passed: 12, failed: 3, ignored: 1 }));
        for other in ["test a ... ok", "running 3 tests", "test result: ok"] {
            assert_eq!(Reported::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_quick_run_leaves_out_what_needs_a_program_and_nothing_else() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let metadata = json!({"packages": [
            {"targets": [target("lib", "throng"), target("test", "routes"), target("test", "faults")]},
            {"targets": [target("test", "browser"), target("bin", "xtask")]},
        ]});
        let binaries = test_binaries(&metadata).unwrap();
        assert_eq!(binaries, ["browser", "faults", "routes"]);
        let commands = |quick| -> Vec<String> {
            steps(&Options { quick }, &binaries).iter().map(|step| command::typed(&step.command)).collect()
        };
        let quick = commands(true).join("\n");
        assert!(quick.contains("--test routes") && !quick.contains("faults") && !quick.contains("browser"), "{quick}");
        assert!(commands(false).contains(&"cargo test --workspace --no-fail-fast".to_owned()));
    }
}
