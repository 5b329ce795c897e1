//! The steps, their order, and what they need.

use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::total::Counts;
use crate::command::{self, cargo};
use crate::faults;
use crate::packages::{self, Program};
use crate::python::{PIP, PYTHON, Packages};
use crate::services::{self, Kind};

/// One check.
pub struct Step {
    pub name: String,
    pub command: Command,
    pub counts: Counts,
    /// Whether it uses the servers that are started for all steps; steps that disrupt servers have their own.
    pub shares_servers: bool,
}

/// Steps that run one after the other.
pub type Lane = Vec<Step>;

/// Lanes that run in parallel, since they wait more than they compute; most stages have a single step.
pub type Stage = Vec<Lane>;

/// A test binary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binary {
    pub name: String,
}

/// The programs that steps other than test binaries need.
pub const STEPS_NEED: &[Program] = &[PROMTOOL];

/// What a test binary needs besides Rust.
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
const NODE: Program = Program { name: "node", package: "nodejs" };
const JAVA: Program = Program { name: "java", package: "default-jdk-headless" };
const PROMTOOL: Program = Program { name: "promtool", package: "prometheus" };
const NUTCRACKER: Program = Program { name: "nutcracker", package: "nutcracker" };
const PGBOUNCER: Program = Program { name: "pgbouncer", package: "pgbouncer" };
const SUPERVISORD: Program = Program { name: "supervisord", package: "supervisor" };

/// The test binary for servers in the test's process. Each of its tests mostly waits, so more than processors run at once.
const IN_PROCESS: &str = "in_process";
const IN_PROCESS_AT_ONCE: &str = "8";

/// The test binary for real processes that need nothing but Rust.
const PROCESS: &str = "process";

/// Its test with ten thousand connections, which runs by itself.
const CROWD: &str = "crowd::";

/// The test binary for faults and scaled-out systems. Its modules `supervised` and `scaled_out` run apart from its others:
/// these need no servers, and the faults of a scaled-out system have a stage of their own.
const SYSTEM: &str = "system";

/// The test binary that has other programs count what Throng counts.
const TABULATION: &str = "tabulation";

/// These programs.
pub const RECOUNT: Packages =
    Packages { name: "recount", requirements: "crates/domain/tests/tabulation/requirements.txt" };

/// The test binary with browsers, proxies and other programs.
const CLIENTS: &str = "clients";

/// Its tests in which other programs read and use the API's description. They keep both processors busy, which databases that are
/// tested at the same time don't bear.
const API: &str = "api::";

/// Tests of processes that send spans, which only a binary with this feature does. They need nothing but Rust.
const OTLP: &str = "test --package throng --features otlp --no-fail-fast --test process -- otlp::";

/// Browsers, proxies, third-party clients, and what runs the programs in the docs.
const CLIENTS_NEED: &[Program] =
    &[NGINX, APACHE, HAPROXY, VARNISHD, CADDY, CURL, WGET, PHP, NODE, PYTHON, JAVA, CHROMIUM, CHROMEDRIVER];

/// All test binaries that need more than Rust.
const NEEDS: &[Need] = &[
    Need { binary: CLIENTS, programs: CLIENTS_NEED, servers: &[] },
    Need { binary: "memcached", programs: &[NUTCRACKER], servers: &[Kind::Memcached] },
    Need { binary: "mysql", programs: &[], servers: &[Kind::Mariadb] },
    Need { binary: "postgres", programs: &[PGBOUNCER], servers: &[Kind::Postgres] },
    Need { binary: "rabbitmq", programs: &[], servers: &[Kind::Rabbitmq] },
    Need { binary: TABULATION, programs: &[PYTHON, PIP], servers: &[] },
    Need { binary: SYSTEM, programs: &[STRACE, FAKETIME, SUPERVISORD], servers: faults::ALL },
];

/// Sets of servers on which the faults of a scaled-out system are injected in parallel: mostly, these tests wait.
const SETS: usize = 4;

/// The systems on which the routes are tested, in addition to a file alone: step name, database, and what is in front of it.
/// The cache is used only behind a broker. Each database has a step alone and one behind a broker, and the broker has one with the
/// cache and some without it: the cache has the same contents whatever the database is.
const ROUTES: [(&str, Option<&str>, Option<&str>); 5] = [
    ("routes on PostgreSQL behind RabbitMQ", Some("postgres"), Some("broker")),
    ("routes on MariaDB behind RabbitMQ and memcached", Some("mysql"), Some("broker+cache")),
    ("routes on a file behind RabbitMQ", None, Some("broker")),
    ("routes on MariaDB", Some("mysql"), None),
    ("routes on PostgreSQL", Some("postgres"), None),
];

/// The one test of the routes that depends on seconds: it runs once, in parallel with tests that mostly wait, and nothing that
/// it tests depends on the database, broker or cache.
const TIMED: &str = "routes::limits::slow_and_silent_clients";

/// All stages, in order. To add a step, add it here.
pub fn stages(quick: bool, binaries: &[Binary]) -> Vec<Stage> {
    let named = |chosen: &dyn Fn(&Binary) -> bool| -> String {
        binaries.iter().filter(|binary| chosen(binary)).map(|binary| format!(" --test {}", binary.name)).collect()
    };
    let uses_servers = |binary: &Binary| binary.need().is_some_and(|need| !need.servers.is_empty());
    let runs = |binary: &Binary| !quick || binary.need().is_none();
    // Those that share a step with others, and those that have steps by themselves.
    let whole = |binary: &Binary| {
        runs(binary) && ![IN_PROCESS, PROCESS, SYSTEM, TABULATION, CLIENTS].contains(&binary.name.as_str())
    };
    let by_themselves = named(&|binary| runs(binary) && !whole(binary));
    let alone = named(&|binary| whole(binary) && !uses_servers(binary));
    let on_servers = named(&|binary| whole(binary) && uses_servers(binary));
    let rest = "--lib --bins --examples";
    let build = format!("test --workspace --no-run {rest}{alone}{on_servers}{by_themselves}");
    let tests_of = |name: &str, arguments: &str| {
        step(name, &format!("test --workspace --no-fail-fast {}", arguments.trim_start()), Counts::Tests)
    };
    let mut in_process = tests_of("tests in one process", &format!("--test {IN_PROCESS}"));
    in_process.command.env("RUST_TEST_THREADS", IN_PROCESS_AT_ONCE);
    let mut tests = vec![
        vec![
            tests_of("tests", &format!("{rest}{alone}")),
            tests_of("tests of processes", &format!("--test {PROCESS} -- --skip {CROWD}")),
            tests_of("crowd", &format!("--test {PROCESS} -- {CROWD}")),
        ],
        vec![in_process],
    ];
    if !quick {
        tests[0].push(tests_of("browsers, proxies and programs", &format!("--test {CLIENTS} -- --skip {API}")));
        tests[0].push(tests_of("faults", &format!("--test {SYSTEM} -- --skip supervised:: --skip scaled_out::")));
        let mut recounts = tests_of("counts by other programs", &format!("--test {TABULATION}"));
        recounts.command.env("THRONG_TEST_RECOUNT", RECOUNT.directory());
        tests[0].push(recounts);
        tests[1].push(tests_of("tests on servers", &on_servers));
        tests[1].push(tests_of("supervised", &format!("--test {SYSTEM} -- supervised::")));
    }
    let mut stages = vec![
        single(step("format", "fmt --all --check", Counts::Itself)),
        single(step("lints", "clippy --workspace --all-targets -- -D warnings", Counts::Itself)),
        single(step("build", &build, Counts::Itself)),
        tests,
        single(step("examples in the docs", "test --workspace --no-fail-fast --doc", Counts::Tests)),
        // A stage of its own: it replaces the binary that other tests run.
        single(step("the feature otlp", OTLP, Counts::Tests)),
    ];
    if !quick {
        stages.push(single(tests_of("programs that use the API", &format!("--test {CLIENTS} -- {API}"))));
        let mut alerts = step("alerts", "", Counts::Itself);
        alerts.command = command::program(packages::find(PROMTOOL.name).unwrap_or_else(|| PROMTOOL.name.into()));
        alerts.command.args(["test", "rules", "deploy/prometheus/alerts_test.yml"]);
        stages.push(single(alerts));
        stages.push(on_many_servers());
    }
    stages
}

/// The faults of a scaled-out system and the routes on all systems, which mostly wait; and beside them the mutants, which mostly
/// compile.
fn on_many_servers() -> Stage {
    // Servers that the developer has named are a single set.
    let sets = if services::unnamed(faults::ALL.to_vec()).len() == faults::ALL.len() { SETS } else { 1 };
    let faults = format!("run --quiet --package xtask -- faults --scaled-out --rounds 1 --sets {sets}");
    let faults = Step { shares_servers: false, ..step("faults, scaled out", &faults, Counts::Tests) };
    let mut mutants = step("mutants", "run --quiet --package xtask -- mutants", Counts::Itself);
    lower_priority(&mut mutants);
    let mut lanes = vec![vec![faults], vec![mutants]];
    // Those behind the broker follow each other: it forms only so many queues at once, and one that takes longer than five seconds
    // fails.
    let (behind, alone): (Vec<_>, Vec<_>) = ROUTES.into_iter().partition(|(_, _, behind)| behind.is_some());
    let lane = |systems: Vec<_>| systems.into_iter().map(|(name, on, behind)| routes(name, on, behind)).collect();
    lanes.extend([lane(behind), lane(alone)]);
    lanes
}

fn single(step: Step) -> Stage {
    vec![vec![step]]
}

/// Runs a step on processors that other processes leave idle.
fn lower_priority(step: &mut Step) {
    let mut nice = command::program("nice");
    nice.args(["-n", "10"]).arg(step.command.get_program()).args(step.command.get_args());
    step.command = nice;
}

fn step(name: &str, arguments: &str, counts: Counts) -> Step {
    Step { name: name.to_owned(), command: cargo(arguments), counts, shares_servers: true }
}

fn routes(name: &str, on: Option<&str>, behind: Option<&str>) -> Step {
    let tests = format!("test --workspace --no-fail-fast --test in_process -- routes:: --skip {TIMED}");
    let mut routes = step(name, &tests, Counts::Tests);
    routes.command.envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
    // Each test waits until its own tables are on the disk, or its own queues are ready: so more tests than processors run at
    // once.
    routes.command.envs(behind.map(|behind| ("THRONG_TEST_ROUTES_BEHIND", behind))).env("RUST_TEST_THREADS", "8");
    routes
}

impl Binary {
    /// The test binaries of all packages.
    ///
    /// # Errors
    /// If `cargo metadata` fails.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        Self::from_metadata(&command::metadata()?)
    }

    fn from_metadata(metadata: &Value) -> anyhow::Result<Vec<Self>> {
        let strings = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut binaries = Vec::new();
        for package in metadata["packages"].as_array().context("`cargo metadata` names no packages")? {
            let targets = package["targets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| strings(&target["kind"]).contains(&"test".to_owned())) {
                let name = target["name"].as_str().context("`cargo metadata` leaves out a name")?;
                binaries.push(Self { name: name.to_owned() });
            }
        }
        binaries.sort_unstable();
        Ok(binaries)
    }

    /// What it needs besides Rust.
    pub fn need(&self) -> Option<&'static Need> {
        need(&self.name)
    }
}

/// What a test binary needs besides Rust.
pub fn need(binary: &str) -> Option<&'static Need> {
    NEEDS.iter().find(|need| need.binary == binary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quick_run_skips_only_tests_that_need_programs() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let mut of_server = ["in_process", "process", "system", "clients"].map(|name| target("test", name)).to_vec();
        of_server.push(target("lib", "throng"));
        of_server.push(target("test", "tabulation"));
        let binaries = Binary::from_metadata(&json!({"packages": [
            {"name": "throng", "targets": of_server},
            {"name": "throng-backends", "targets": [target("test", "mysql")]},
        ]}));
        let binaries = binaries.unwrap();
        let commands = |quick| -> Vec<String> {
            stages(quick, &binaries)
                .iter()
                .flatten()
                .flatten()
                .map(|step| command::command_line(&step.command))
                .collect()
        };
        let quick = commands(true).join("\n");
        assert!(quick.contains("--no-fail-fast --lib --bins --examples\n"), "{quick}");
        for needing in ["clients", "system", "mutants", "mysql", "tabulation"] {
            assert!(!quick.contains(needing), "{quick}");
        }
        let whole = commands(false).join("\n");
        assert!(whole.contains("--no-fail-fast --lib --bins --examples\n"), "{whole}");
        assert!(
            whole.contains("--no-fail-fast --test mysql\n"),
            "tests on servers run in parallel with the others: {whole}"
        );
        assert!(whole.contains("--no-fail-fast --test tabulation\n"), "{whole}");
        let built = "--test mysql --test clients --test in_process --test process --test system --test tabulation\n";
        assert!(whole.contains(built), "all are built first: {whole}");
        assert!(whole.contains("faults --scaled-out") && whole.contains("mutants"), "{whole}");
        // Each test of a binary that is run in parts is in one of them.
        for parts in [
            "--test system -- --skip supervised:: --skip scaled_out::\n",
            "--test system -- supervised::\n",
            "--test clients -- --skip api::\n",
            "--test clients -- api::\n",
        ] {
            assert!(whole.contains(parts), "{whole}");
        }
        for tests in [quick, whole] {
            for parts in
                ["--test in_process\n", "--test process -- --skip crowd::\n", "--test process -- crowd::\n", OTLP]
            {
                assert!(tests.contains(parts), "{tests}");
            }
        }
        let has_otlp = |stage: &&Stage| stage.iter().flatten().any(|step| step.name == "the feature otlp");
        let steps_with_otlp =
            stages(false, &binaries).iter().find(has_otlp).map(|stage| stage.iter().flatten().count());
        assert_eq!(steps_with_otlp, Some(1), "it builds another binary of the same name");
    }
}
