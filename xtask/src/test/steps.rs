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

/// Steps that are taken side by side: most are by themselves, those that wait more than they work go together.
pub type Stage = Vec<Step>;

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

/// The one test of the routes that holds them to seconds: it runs where nothing goes beside it, and nothing that it tests
/// knows what stands behind.
const TIMED: &str = "limits::slow_and_silent_clients";

/// All stages, in order. To add a step, add it here.
pub fn stages(quick: bool, binaries: &[Binary]) -> Vec<Stage> {
    let chosen = binaries.iter().filter(|binary| binary.features.is_empty());
    let chosen = chosen.filter(|binary| if quick { binary.need().is_none() } else { binary.name != SCALED_OUT });
    let chosen: String = chosen.map(|binary| format!(" --test {}", binary.name)).collect();
    let tests = format!("test --workspace --no-fail-fast --lib --bins --examples{chosen}");
    let mut stages = vec![
        vec![step("format", "fmt --all --check", Counts::Itself)],
        vec![step("lints", "clippy --workspace --all-targets -- -D warnings", Counts::Itself)],
        vec![step("tests", &tests, Counts::Tests)],
        vec![step("examples in the docs", "test --workspace --no-fail-fast --doc", Counts::Tests)],
    ];
    if !quick {
        // Servers that a developer named are one set.
        let sets = if services::unnamed(faults::ALL.to_vec()).len() == faults::ALL.len() { SETS } else { 1 };
        let faults = format!("run --quiet --package xtask -- faults --scaled-out --rounds 1 --sets {sets}");
        stages.push(vec![Step { shares_servers: false, ..step("faults, scaled out", &faults, Counts::Tests) }]);
        stages.push(ROUTES.map(|(name, on, behind)| routes(name, on, behind)).into());
    }
    for Binary { name, package, features } in binaries.iter().filter(|binary| !binary.features.is_empty()) {
        let features = features.join(",");
        let tests = format!("test --package {package} --features {features} --no-fail-fast --test {name}");
        stages.push(vec![step(&format!("the feature {features}"), &tests, Counts::Tests)]);
    }
    if !quick {
        let mut alerts = step("alerts", "", Counts::Itself);
        alerts.command = command::program(packages::find(PROMTOOL.name).unwrap_or_else(|| PROMTOOL.name.into()));
        alerts.command.args(["test", "rules", "deploy/prometheus/alerts_test.yml"]);
        stages.push(vec![alerts]);
        stages.push(vec![step("mutants", "run --quiet --package xtask -- mutants", Counts::Itself)]);
    }
    stages
}

fn step(name: &str, arguments: &str, counts: Counts) -> Step {
    Step { name: name.to_owned(), command: cargo(arguments), counts, shares_servers: true }
}

fn routes(name: &str, on: Option<&str>, behind: Option<&str>) -> Step {
    let tests = format!("test --workspace --no-fail-fast --test routes -- --skip {TIMED}");
    let mut routes = step(name, &tests, Counts::Tests);
    routes.command.envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
    if let Some(behind) = behind {
        // Each test waits for queues of its own to settle: more of them at a time than there are processors.
        routes.command.env("THRONG_TEST_ROUTES_BEHIND", behind).env("RUST_TEST_THREADS", "16");
    }
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
            {"name": "xtask", "targets": [target("test", "scaled_out"), target("test", "browser"), target("bin", "xtask")]},
        ]}));
        let binaries = binaries.unwrap();
        let commands = |quick| -> Vec<String> {
            stages(quick, &binaries).iter().flatten().map(|step| command::typed(&step.command)).collect()
        };
        let quick = commands(true).join("\n");
        assert!(quick.contains("--examples --test routes\n"), "{quick}");
        assert!(!quick.contains("scaled") && !quick.contains("mutants"), "{quick}");
        let whole = commands(false).join("\n");
        assert!(whole.contains("--examples --test browser --test routes\n"), "{whole}");
        assert!(whole.contains("faults --scaled-out") && whole.contains("mutants"), "{whole}");
        for gated in [quick, whole] {
            assert!(gated.contains("--package throng --features otlp --no-fail-fast --test otlp"), "{gated}");
        }
    }
}
