//! What is checked, in which order, and what that needs.

use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::total::Counts;
use crate::command::{self, cargo};
use crate::faults;
use crate::packages::{self, Program};
use crate::services::{self, Kind};

/// One thing that is checked.
pub struct Step {
    pub name: String,
    pub command: Command,
    pub counts: Counts,
    /// Whether it uses the servers that are started for all steps: those that harm theirs have their own.
    pub shares_servers: bool,
}

/// Steps that are taken one after the other.
pub type Lane = Vec<Step>;

/// Lanes that are taken side by side, since they wait more than they work: most steps are by themselves.
pub type Stage = Vec<Lane>;

/// A binary of tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binary {
    pub name: String,
    package: String,
    /// The features that it is built with only.
    features: Vec<String>,
}

/// What is needed by steps that are no test binaries.
pub const STEPS_NEED: &[Program] = &[PROMTOOL];

/// What a test binary needs, beside Rust.
pub struct Need {
    binary: &'static str,
    pub programs: &'static [Program],
    pub servers: &'static [Kind],
}

const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
const CHROMEDRIVER: Program = Program { name: "chromedriver", package: "chromium-driver" };
const STRACE: Program = Program { name: "strace", package: "strace" };
const FAKETIME: Program = Program { name: "faketime", package: "faketime" };
const NGINX: Program = Program { name: "nginx", package: "nginx-light" };
const APACHE: Program = Program { name: "apache2", package: "apache2" };
const HAPROXY: Program = Program { name: "haproxy", package: "haproxy" };
const VARNISHD: Program = Program { name: "varnishd", package: "varnish" };
const CADDY: Program = Program { name: "caddy", package: "caddy" };
const CURL: Program = Program { name: "curl", package: "curl" };
const WGET: Program = Program { name: "wget", package: "wget" };
const PHP: Program = Program { name: "php", package: "php-cli php-curl" };
const JAVA: Program = Program { name: "java", package: "default-jdk-headless" };
const PROMTOOL: Program = Program { name: "promtool", package: "prometheus" };
const NUTCRACKER: Program = Program { name: "nutcracker", package: "nutcracker" };
const PGBOUNCER: Program = Program { name: "pgbouncer", package: "pgbouncer" };
const SUPERVISORD: Program = Program { name: "supervisord", package: "supervisor" };

/// The tests of a system that is scaled out, a stage by themselves.
const SCALED_OUT: &str = "scaled_out";

/// Proxies, and other people's clients.
const PROXIES_NEED: &[Program] =
    &[NGINX, APACHE, HAPROXY, VARNISHD, CADDY, CURL, WGET, PHP, JAVA, CHROMIUM, CHROMEDRIVER];

/// All test binaries that need more than Rust.
const NEEDS: &[Need] = &[
    Need { binary: "browser", programs: &[CHROMIUM, CHROMEDRIVER, NGINX, APACHE, HAPROXY], servers: &[] },
    Need { binary: "faults", programs: &[STRACE, FAKETIME], servers: &[] },
    Need { binary: "memcached", programs: &[NUTCRACKER], servers: &[Kind::Memcached] },
    Need { binary: "mysql", programs: &[], servers: &[Kind::Mariadb] },
    Need { binary: "postgres", programs: &[PGBOUNCER], servers: &[Kind::Postgres] },
    Need { binary: "proxies", programs: PROXIES_NEED, servers: &[] },
    Need { binary: "rabbitmq", programs: &[], servers: &[Kind::Rabbitmq] },
    Need { binary: SCALED_OUT, programs: &[], servers: faults::ALL },
    Need { binary: "supervised", programs: &[SUPERVISORD], servers: faults::ALL },
];

/// Sets of servers that are harmed at once by the faults of a system that is scaled out.
const SETS: usize = 3;

/// Where the routes are tested beside a file alone: a database, and what it stands behind. The cache is used behind a
/// broker alone.
const ROUTES: [(&str, Option<&str>, Option<&str>); 8] = [
    ("routes on MariaDB", Some("mysql"), None),
    ("routes on PostgreSQL", Some("postgres"), None),
    ("routes on a file behind RabbitMQ", None, Some("broker")),
    ("routes on MariaDB behind RabbitMQ", Some("mysql"), Some("broker")),
    ("routes on PostgreSQL behind RabbitMQ", Some("postgres"), Some("broker")),
    ("routes on a file behind RabbitMQ and memcached", None, Some("broker+cache")),
    ("routes on MariaDB behind RabbitMQ and memcached", Some("mysql"), Some("broker+cache")),
    ("routes on PostgreSQL behind RabbitMQ and memcached", Some("postgres"), Some("broker+cache")),
];

/// The one test of the routes that holds them to seconds: it runs once, beside tests that wait most of the time, and nothing
/// that it tests knows what stands behind.
const TIMED: &str = "limits::slow_and_silent_clients";

/// The lanes in which the routes are tested: more would have more servers than a broker starts at once.
const ROUTES_LANES: usize = 2;

/// All stages, in order. To add a step, add it here.
pub fn stages(quick: bool, binaries: &[Binary]) -> Vec<Stage> {
    let named = |chosen: &dyn Fn(&Binary) -> bool| -> String {
        let plain = binaries.iter().filter(|binary| binary.features.is_empty());
        plain.filter(|binary| chosen(binary)).map(|binary| format!(" --test {}", binary.name)).collect()
    };
    let is_on_servers = |binary: &Binary| binary.need().is_some_and(|need| !need.servers.is_empty());
    let alone = named(&|binary| if quick { binary.need().is_none() } else { !is_on_servers(binary) });
    let on_servers = named(&|binary| !quick && is_on_servers(binary) && binary.name != SCALED_OUT);
    let rest = "--lib --bins --examples";
    let build = format!("test --workspace --no-run {rest}{alone}{on_servers}");
    let mut tests = vec![vec![step("tests", &format!("test --workspace --no-fail-fast {rest}{alone}"), Counts::Tests)]];
    if !on_servers.is_empty() {
        let on_servers = format!("test --workspace --no-fail-fast{on_servers}");
        tests.push(vec![step("tests on servers", &on_servers, Counts::Tests)]);
    }
    let mut stages = vec![
        by_itself(step("format", "fmt --all --check", Counts::Itself)),
        by_itself(step("lints", "clippy --workspace --all-targets -- -D warnings", Counts::Itself)),
        by_itself(step("build", &build, Counts::Itself)),
        tests,
        by_itself(step("examples in the docs", "test --workspace --no-fail-fast --doc", Counts::Tests)),
    ];
    // By itself: it puts a binary of its own in the place of the one that other tests run.
    for Binary { name, package, features } in binaries.iter().filter(|binary| !binary.features.is_empty()) {
        let features = features.join(",");
        let tests = format!("test --package {package} --features {features} --no-fail-fast --test {name}");
        stages.push(by_itself(step(&format!("the feature {features}"), &tests, Counts::Tests)));
    }
    if !quick {
        // Servers that a developer named are one set.
        let sets = if services::unnamed(faults::ALL.to_vec()).len() == faults::ALL.len() { SETS } else { 1 };
        let faults = format!("run --quiet --package xtask -- faults --scaled-out --rounds 1 --sets {sets}");
        stages.push(by_itself(Step { shares_servers: false, ..step("faults, scaled out", &faults, Counts::Tests) }));
        let mut alerts = step("alerts", "", Counts::Itself);
        alerts.command = command::program(packages::find(PROMTOOL.name).unwrap_or_else(|| PROMTOOL.name.into()));
        alerts.command.args(["test", "rules", "deploy/prometheus/alerts_test.yml"]);
        stages.push(by_itself(alerts));
        let mutants = step("mutants", "run --quiet --package xtask -- mutants", Counts::Itself);
        stages.push(beside_routes(mutants));
    }
    stages
}

/// What compiles most of the time, beside the routes on all that a system is made of, which wait most of the time.
fn beside_routes(mut builds: Step) -> Stage {
    give_way(&mut builds);
    let mut lanes = vec![vec![builds]];
    lanes.extend((0..ROUTES_LANES).map(|_| Lane::new()));
    for (number, (name, on, behind)) in ROUTES.into_iter().enumerate() {
        lanes[1 + number % ROUTES_LANES].push(routes(name, on, behind));
    }
    lanes
}

fn by_itself(step: Step) -> Stage {
    vec![vec![step]]
}

/// Has a step take the processors that others leave.
fn give_way(step: &mut Step) {
    let mut nice = command::program("nice");
    nice.args(["-n", "10"]).arg(step.command.get_program()).args(step.command.get_args());
    step.command = nice;
}

fn step(name: &str, arguments: &str, counts: Counts) -> Step {
    Step { name: name.to_owned(), command: cargo(arguments), counts, shares_servers: true }
}

fn routes(name: &str, on: Option<&str>, behind: Option<&str>) -> Step {
    let tests = format!("test --workspace --no-fail-fast --test routes -- --skip {TIMED}");
    let mut routes = step(name, &tests, Counts::Tests);
    routes.command.envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
    // Each test waits for tables of its own to be on the disk, or for queues of its own to settle: more of them at a time than
    // there are processors.
    let at_once = if behind.is_some() { "16" } else { "8" };
    routes.command.envs(behind.map(|behind| ("THRONG_TEST_ROUTES_BEHIND", behind))).env("RUST_TEST_THREADS", at_once);
    routes
}

impl Binary {
    /// All there are, of all packages.
    ///
    /// # Errors
    /// If cargo doesn't say.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        Self::named_in(&command::metadata()?)
    }

    fn named_in(metadata: &Value) -> anyhow::Result<Vec<Self>> {
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut binaries = Vec::new();
        for package in metadata["packages"].as_array().context("`cargo metadata` names no packages")? {
            let targets = package["targets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| words(&target["kind"]).contains(&"test".to_owned())) {
                let name =
                    |value: &Value| value.as_str().map(str::to_owned).context("`cargo metadata` leaves out a name");
                let features = words(&target["required-features"]);
                binaries.push(Self { name: name(&target["name"])?, package: name(&package["name"])?, features });
            }
        }
        binaries.sort_unstable();
        Ok(binaries)
    }

    /// What it needs, beside Rust.
    pub fn need(&self) -> Option<&'static Need> {
        need(&self.name)
    }
}

/// What a test binary needs, beside Rust.
pub fn need(binary: &str) -> Option<&'static Need> {
    NEEDS.iter().find(|need| need.binary == binary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quick_run_leaves_out_what_needs_a_program_and_nothing_else() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let gated = json!({"kind": ["test"], "name": "otlp", "required-features": ["otlp"]});
        let binaries = Binary::named_in(&json!({"packages": [
            {"name": "throng", "targets": [target("lib", "throng"), target("test", "routes"), gated]},
            {"name": "xtask", "targets": [target("test", "scaled_out"), target("test", "browser"), target("test", "mysql")]},
        ]}));
        let binaries = binaries.unwrap();
        let commands = |quick| -> Vec<String> {
            stages(quick, &binaries).iter().flatten().flatten().map(|step| command::typed(&step.command)).collect()
        };
        let quick = commands(true).join("\n");
        assert!(quick.contains("--examples --test routes\n"), "{quick}");
        assert!(!quick.contains("scaled") && !quick.contains("mutants") && !quick.contains("mysql"), "{quick}");
        let whole = commands(false).join("\n");
        assert!(whole.contains("--examples --test browser --test routes\n"), "{whole}");
        assert!(whole.contains("--no-fail-fast --test mysql\n"), "those on servers go beside the others: {whole}");
        assert!(whole.contains("--test browser --test routes --test mysql\n"), "all are built before: {whole}");
        assert!(whole.contains("faults --scaled-out") && whole.contains("mutants"), "{whole}");
        let is_gated = |stage: &&Stage| stage.iter().flatten().any(|step| step.name.starts_with("the feature "));
        let beside_gated = stages(false, &binaries).iter().find(is_gated).map(|stage| stage.iter().flatten().count());
        assert_eq!(beside_gated, Some(1), "it makes another binary of the same name");
        for gated in [quick, whole] {
            assert!(gated.contains("--package throng --features otlp --no-fail-fast --test otlp"), "{gated}");
        }
    }
}
