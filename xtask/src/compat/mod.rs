//! `cargo xtask compat`: runs the suites that need real servers on later versions than this system's packages have, in
//! directories created by debootstrap. The results are written to `docs/compatibility.md`.

mod root;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

pub use self::root::{Mount, Root};
use crate::command;
use crate::services::{Kind, Services};

/// Which suites run on which releases.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these releases; both if none is given
    releases: Vec<Release>,
    /// Skip the routes and the faults
    #[arg(long)]
    contract_only: bool,
    /// Where the result is written
    #[arg(long, default_value = "docs/compatibility.md")]
    out: PathBuf,
}

/// A release of Debian with later servers than the stable release before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// Debian 13
    Trixie,
    /// Unstable
    Sid,
}

/// A server of a release.
#[derive(Debug)]
struct Server {
    kind: Kind,
    name: &'static str,
    /// The package that its version is read from, as a pattern for dpkg.
    package: &'static str,
    /// The test binary with its suite.
    suite: &'static str,
    /// The value of `THRONG_TEST_ROUTES_ON` for tests of the routes on it; `None` if they aren't tested.
    routes_on: Option<&'static str>,
}

const POSTGRES: Server = Server {
    kind: Kind::Postgres,
    name: "PostgreSQL",
    package: "postgresql-[1-9]*",
    suite: "postgres",
    routes_on: Some("postgres"),
};
const RABBITMQ: Server =
    Server { kind: Kind::Rabbitmq, name: "RabbitMQ", package: "rabbitmq-server", suite: "rabbitmq", routes_on: None };

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Trixie => &["mariadb-server", "postgresql", "rabbitmq-server", "memcached", "pgbouncer"],
            Self::Sid => &["mysql-server", "postgresql", "rabbitmq-server"],
        }
    }

    fn servers(self) -> &'static [Server] {
        match self {
            Self::Trixie => &[
                Server {
                    kind: Kind::Mariadb,
                    name: "MariaDB",
                    package: "mariadb-server",
                    suite: "mysql",
                    routes_on: Some("mysql"),
                },
                POSTGRES,
                RABBITMQ,
                Server {
                    kind: Kind::Memcached,
                    name: "memcached",
                    package: "memcached",
                    suite: "memcached",
                    routes_on: None,
                },
            ],
            Self::Sid => &[
                Server {
                    kind: Kind::Mysql,
                    name: "MySQL",
                    package: "mysql-server",
                    suite: "mysql",
                    routes_on: Some("mysql"),
                },
                POSTGRES,
                RABBITMQ,
            ],
        }
    }
}

/// The result of a suite on one server, or on all servers of a release together.
#[derive(Debug)]
struct Row {
    server: String,
    version: String,
    suite: &'static str,
    passed: bool,
}

/// Starts the servers, runs the suites and writes the results. Returns whether all passed.
///
/// # Errors
/// If a release can't be installed, or its servers don't start.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let metadata = command::metadata()?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    let base = PathBuf::from(target).join("compat");
    let all = Release::value_variants().iter().copied();
    let mut rows = Vec::new();
    for release in all.filter(|release| options.releases.is_empty() || options.releases.contains(release)) {
        let root = Root::open(&base, release.name(), release.packages())?;
        rows.extend(test_release(release, &root, options.contract_only)?);
    }
    std::fs::write(command::root().join(&options.out), page(&rows))?;
    for Row { server, version, suite, passed } in &rows {
        println!("{server} {version}: {suite} {}", verdict(*passed));
    }
    Ok(rows.iter().all(|row| row.passed))
}

fn test_release(release: Release, root: &Root, contract_only: bool) -> anyhow::Result<Vec<Row>> {
    let servers = release.servers();
    let services = Services::start_in(root, servers.iter().map(|server| server.kind).collect())?;
    let pooler = release.packages().contains(&"pgbouncer");
    let test = |arguments: &str, on: Option<&str>| -> anyhow::Result<bool> {
        let mut cargo: Command = command::cargo(arguments);
        cargo.envs(services.variables()).envs(on.map(|on| ("THRONG_TEST_ROUTES_ON", on)));
        if pooler {
            cargo.env("THRONG_TEST_PGBOUNCER", root.loader_script("usr/sbin/pgbouncer")?);
        }
        println!("{}: {}", release.name(), command::command_line(&cargo));
        Ok(cargo.status().context("cargo can't be run")?.success())
    };
    let mut rows = Vec::new();
    for Server { name, package, suite, routes_on, .. } in servers {
        let version = root.version(package)?;
        let mut push_row =
            |suite, passed| rows.push(Row { server: (*name).to_owned(), version: version.clone(), suite, passed });
        push_row(
            "contract and faults of its suite",
            test(&format!("test --package throng-backends --no-fail-fast --test {suite}"), None)?,
        );
        if routes_on.is_some() && !contract_only {
            let routes = "test --package throng --no-fail-fast --test in_process -- routes:: \
                          --skip routes::limits::slow_and_silent_clients";
            push_row("routes", test(routes, *routes_on)?);
        }
    }
    if pooler {
        rows.push(Row {
            server: "PgBouncer".to_owned(),
            version: root.version("pgbouncer")?,
            suite: "sessions shared by several stores",
            passed: test("test --package throng-backends --test postgres -- pooler::", None)?,
        });
    }
    if !contract_only {
        let faults = "run --quiet --package xtask -- faults --scaled-out --rounds 1 killed database";
        rows.push(Row {
            server: format!("all of {}", release.name()),
            version: String::new(),
            suite: "faults, scaled out: servers killed under load",
            passed: test(faults, None)?,
        });
    }
    Ok(rows)
}

fn verdict(passed: bool) -> &'static str {
    if passed { "passed" } else { "FAILED" }
}

fn page(rows: &[Row]) -> String {
    let mut page = "# Compatibility\n\nEvery change is tested with the servers of Debian 12: MariaDB 10.11, PostgreSQL 15, \
                    RabbitMQ 3.10,\nmemcached 1.6.18, PgBouncer 1.18. Later versions are tested with `cargo xtask compat`, \
                    which wrote this table:\n\n| server | version | tests | |\n|---|---|---|---|\n"
        .to_owned();
    for Row { server, version, suite, passed } in rows {
        let _ = writeln!(page, "| {server} | {version} | {suite} | {} |", verdict(*passed));
    }
    page
}
