//! `cargo xtask test`: everything that must be green before a change is in.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use crate::children::{self, Spared};
use crate::command::{self, Ended, Job, cargo};
use crate::packages::{self, Program};
use crate::services::{self, Kind, Services};

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

/// The tests of a system that is scaled out, a stage by themselves.
const SCALED_OUT: &str = "scaled_out";

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
    Need { binary: SCALED_OUT, programs: &[], servers: ALL },
    Need { binary: "supervised", programs: &[SUPERVISORD], servers: ALL },
];

/// What to do where one of these can't be had.
const QUICK: &str = "`cargo xtask test --quick` leaves out the tests that need this";

/// One thing that is checked.
struct Step {
    name: &'static str,
    command: Command,
    counts: Counts,
    /// Whether it uses the servers that are started for all steps: those that harm theirs have their own.
    shares_servers: bool,
}

/// Steps that are taken side by side: most are by themselves, those that wait more than they work go together.
type Stage = Vec<Step>;

/// Steps of a stage that go at once.
const STEPS_AT_ONCE: usize = 3;

/// Sets of servers that are harmed at once by the faults of a system that is scaled out.
const SETS: usize = 3;

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

/// All stages, in order. To add a step, add it here.
fn stages(options: &Options, binaries: &[String]) -> Vec<Stage> {
    let step = |name, arguments: &str, counts| Step { name, command: cargo(arguments), counts, shares_servers: true };
    let (chosen, rest): (Vec<&String>, _) =
        binaries.iter().partition(|name| if options.quick { need(name).is_none() } else { *name != SCALED_OUT });
    let chosen: String = chosen.into_iter().map(|name| format!(" --test {name}")).collect();
    let tests = format!("test --workspace --no-fail-fast --lib --bins --examples{chosen}");
    let mut stages = vec![
        vec![step("format", "fmt --all --check", Counts::Itself)],
        vec![step("lints", "clippy --workspace --all-targets -- -D warnings", Counts::Itself)],
        vec![step("tests", &tests, Counts::Tests)],
        vec![step("examples in the docs", "test --workspace --no-fail-fast --doc", Counts::Tests)],
    ];
    if options.quick {
        return stages;
    }
    if rest.iter().any(|name| *name == SCALED_OUT) {
        // Servers that a developer named are one set.
        let sets = if services::unnamed(ALL.to_vec()).len() == ALL.len() { SETS } else { 1 };
        let faults = format!("run --quiet --package xtask -- faults --scaled-out --rounds 1 --sets {sets}");
        stages.push(vec![Step { shares_servers: false, ..step("faults, scaled out", &faults, Counts::Tests) }]);
    }
    let routes = |(name, on, behind): (&'static str, Option<&str>, Option<&str>)| {
        let mut routes = step(name, "test --workspace --no-fail-fast --test routes", Counts::Tests);
        routes.command.envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
        if let Some(behind) = behind {
            // Each test waits for queues of its own to settle: more of them at a time than there are processors.
            routes.command.env("THRONG_TEST_ROUTES_BEHIND", behind).env("RUST_TEST_THREADS", "16");
        }
        routes
    };
    stages.push(ROUTES.map(routes).into());
    let otlp = "test --package throng --features otlp --no-fail-fast --test otlp";
    stages.push(vec![step("the feature otlp", otlp, Counts::Tests)]);
    stages.push(vec![step("mutants", "run --quiet --package xtask -- mutants", Counts::Itself)]);
    stages
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
    let mut stages = stages(options, &binaries);
    for step in stages.iter_mut().flatten().filter(|step| step.shares_servers) {
        step.command.envs(services.iter().flat_map(Services::variables));
    }
    let spared = || services.iter().flat_map(Services::pids).collect();
    let (count, mut total, mut tests, mut summary) = (stages.len(), Total::default(), 0, Vec::new());
    for (number, stage) in (1..).zip(stages) {
        println!();
        for step in &stage {
            println!("[{number}/{count}] {}: {}", step.name, command::typed(&step.command));
        }
        for Done { name, counts, result, took } in run_stage(stage, &spared)? {
            summary.push(format!("{name}: {}, {:.1} s", result.words(), took.as_secs_f64()));
            total.passed += result.passed;
            total.failed += result.failed;
            if counts == Counts::Tests {
                tests += result.passed + result.failed;
            }
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

/// What came of a step.
struct Done {
    name: &'static str,
    counts: Counts,
    result: Total,
    took: Duration,
}

/// Takes the steps of a stage, in this order where there are too many to go at once.
fn run_stage(stage: Stage, spared: &Spared<'_>) -> anyhow::Result<Vec<Done>> {
    let together = stage.len() > 1;
    let mut results: Vec<Reported> = stage.iter().map(|_| Reported::default()).collect();
    let (steps, commands): (Vec<_>, Vec<_>) =
        stage.into_iter().map(|Step { name, command, counts, .. }| ((name, counts), command)).unzip();
    let jobs = commands.into_iter().zip(&steps).zip(&mut results).map(|((command, (name, _)), result)| {
        let prefix = if together { format!("{name}: ") } else { String::new() };
        let line = Box::new(|line: &str| result.add(Reported::parse(line)));
        Job { command, prefix, line }
    });
    let (ended, left_behind) = command::stream(jobs.collect(), STEPS_AT_ONCE, spared)?;
    let mut done: Vec<Done> = steps
        .into_iter()
        .zip(results)
        .zip(ended)
        .map(|(((name, counts), reported), Ended { succeeded, took })| {
            let result = Total::of(name, counts, &reported, succeeded);
            Done { name, counts, result, took }
        })
        .collect();
    if let Some(last) = done.last_mut().filter(|_| !left_behind.is_empty()) {
        println!("xtask: {}: processes were left behind, and killed: {}", last.name, left_behind.join(", "));
        last.result.failed += 1;
    }
    Ok(done)
}

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    passed: u64,
    failed: u64,
}

impl Total {
    /// What the step of this name adds up to, by its tests' reports and by how it ended.
    fn of(name: &str, counts: Counts, reported: &Reported, succeeded: bool) -> Self {
        let mut total = match counts {
            Counts::Itself => Self { passed: u64::from(succeeded), failed: u64::from(!succeeded) },
            Counts::Tests => Self { passed: reported.passed, failed: reported.failed },
        };
        if !succeeded && total.failed == 0 {
            println!("xtask: {name}: it failed without a failed test; its own words are above");
            total.failed += 1;
        }
        if reported.ignored > 0 {
            println!("xtask: {name}: ignored tests: {}; a test that isn't run says nothing", reported.ignored);
            total.failed += reported.ignored;
        }
        total
    }

    fn words(self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// What test binaries report at their end.
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

    fn add(&mut self, other: Option<Self>) {
        let other = other.unwrap_or_default();
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
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
            {"targets": [target("lib", "throng"), target("test", "routes"), target("test", "scaled_out")]},
            {"targets": [target("test", "browser"), target("bin", "xtask")]},
        ]});
        let binaries = test_binaries(&metadata).unwrap();
        assert_eq!(binaries, ["browser", "routes", "scaled_out"]);
        let commands = |quick| -> Vec<String> {
            stages(&Options { quick }, &binaries).iter().flatten().map(|step| command::typed(&step.command)).collect()
        };
        let quick = commands(true).join("\n");
        assert!(quick.contains("--test routes") && !quick.contains("--test browser"), "{quick}");
        assert!(!quick.contains("scaled"), "{quick}");
        let whole = commands(false).join("\n");
        assert!(whole.contains("--test browser --test routes\n") && whole.contains("faults --scaled-out"), "{whole}");
    }
}
