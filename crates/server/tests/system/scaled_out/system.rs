//! A whole system on the real servers: a database, queues and a cache of its own, web nodes and workers as processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;
use throng_testkit::{ChaosProxy, Client, ThrongProcess, throng, variable, wait_until};
use uuid::Uuid;

use crate::checker::Stored;
use crate::scaled_out::disk::{DiskFiller, SmallDisk};
use crate::scaled_out::servers::{self, ExternalServer};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    MySql,
    Postgres,
}

/// A system; its database is dropped with it.
pub struct System {
    kind: Kind,
    name: String,
    settings: Vec<(&'static str, String)>,
    directory: TempDir,
    disk: Option<SmallDisk>,
}

impl System {
    /// A new one, with or without a broker and a cache.
    pub fn new(kind: Kind, broker: bool, cache: bool) -> Self {
        let name = new_name();
        kind.sql(&format!("CREATE DATABASE {name}"));
        Self::with_database(kind, name, (broker, cache), None)
    }

    /// A new one, with or without a broker, whose tables are on a disk of their own.
    pub fn on_a_small_disk(kind: Kind, broker: bool) -> Self {
        let (name, disk) = (new_name(), SmallDisk::of(kind.server()));
        match kind {
            Kind::MySql => {
                kind.sql(&format!("CREATE DATABASE {name}"));
                // A database is a directory in that of the server, in which it runs.
                let directory = kind.server().process().join("cwd").join(&name);
                std::fs::remove_dir_all(&directory).unwrap();
                symlink(disk.directory(), directory).unwrap();
            }
            Kind::Postgres => {
                kind.sql(&format!("CREATE TABLESPACE {name} LOCATION '{}'", disk.directory().display()));
                kind.sql(&format!("CREATE DATABASE {name} TABLESPACE {name}"));
            }
        }
        Self::with_database(kind, name, (broker, false), Some(disk))
    }

    fn with_database(kind: Kind, name: String, (broker, cache): (bool, bool), disk: Option<SmallDisk>) -> Self {
        let mut settings = vec![("DATABASE_URL", format!("{}/{name}", server_url(kind)))];
        if broker {
            let url = format!("{}/%2f", variable(QUEUE_URL));
            settings.extend([("QUEUE_URL", url), ("QUEUE_PREFIX", name.clone()), ("APP_SECRET", name.clone())]);
        }
        if cache {
            settings.push(("CACHE_URL", variable(CACHE_URL)));
        }
        let directory = throng_testkit::directory_on_disk();
        Self { kind, name, settings, directory, disk }
    }

    /// Takes all the room that is left on its disk, until what is returned is dropped.
    pub fn fill_disk(&self) -> DiskFiller {
        self.disk.as_ref().expect("it is on a small disk").fill()
    }

    /// Has what is started from now on reach the database over a link.
    pub fn link_database(&mut self) -> ChaosProxy {
        self.link("DATABASE_URL")
    }

    /// Has what is started from now on reach the broker over a link.
    pub fn link_broker(&mut self) -> ChaosProxy {
        self.link("QUEUE_URL")
    }

    /// Sets what everything that is started from now on is told.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.retain(|(set, _)| *set != name);
        self.settings.push((name, value.to_owned()));
    }

    fn link(&mut self, name: &'static str) -> ChaosProxy {
        let link = ChaosProxy::start(address(self.setting(name)));
        self.lead(name, link.address());
        link
    }

    /// Has what is started from now on look at `there` for the server in this setting; returns where the server is.
    pub fn lead(&mut self, name: &'static str, there: SocketAddr) -> SocketAddr {
        let url = self.setting(name).to_owned();
        let server = address(&url);
        self.set(name, &url.replace(&server.to_string(), &there.to_string()));
        server
    }

    /// What everything is told.
    pub fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(set, _)| *set == name);
        &found.unwrap_or_else(|| panic!("{name} isn't set")).1
    }

    /// Whether a broker stands between web nodes and database.
    pub fn has_broker(&self) -> bool {
        self.settings.iter().any(|(name, _)| *name == "QUEUE_URL")
    }

    /// What the names of its queues begin with; also the name of its database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A web node.
    pub fn web(&self) -> ThrongProcess {
        ThrongProcess::spawn(self.command(&["serve"])).once_it_serves()
    }

    /// A web node that starts.
    pub fn starting_web(&self) -> ThrongProcess {
        ThrongProcess::spawn(self.command(&["serve"]))
    }

    /// Web nodes that start at the same time.
    pub fn webs(&self, count: usize) -> Vec<ThrongProcess> {
        let starting: Vec<ThrongProcess> = (0..count).map(|_| ThrongProcess::spawn(self.command(&["serve"]))).collect();
        starting.into_iter().map(ThrongProcess::once_it_serves).collect()
    }

    /// A worker.
    pub fn worker(&self) -> ThrongProcess {
        ThrongProcess::spawn(self.command(&["worker", "--concurrency", "2"])).once_it_serves()
    }

    /// What a command says.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What the database holds.
    pub fn stored(&self) -> Stored {
        let results: Value = serde_json::from_slice(&self.output(&["poll", "results", "demo", "--json"])).unwrap();
        let number = |of: &Value| of.as_u64().unwrap_or_else(|| panic!("not a number: {results}"));
        let options = results["options"].as_array().unwrap().iter();
        let tallies: BTreeMap<u16, u64> =
            options.map(|option| (number(&option["id"]).try_into().unwrap(), number(&option["count"]))).collect();
        let exported = self.output(&["poll", "export", "demo", "--json"]);
        let ballots = exported.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
            let ballot: Value = serde_json::from_slice(line).unwrap();
            let id = ballot["ballot_id"].as_str().unwrap().parse().unwrap();
            (id, serde_json::from_value(ballot["choices"].clone()).unwrap())
        });
        Stored {
            ballots: ballots.collect::<Vec<(Uuid, Vec<u16>)>>(),
            tallies,
            voters: number(&results["voters"]),
            seq: number(&results["seq"]),
            integrity: "ok".to_owned(),
        }
    }

    /// What a command that must succeed prints.
    #[track_caller]
    pub fn output(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs a statement in its database, by a connection of its own.
    #[track_caller]
    pub fn sql(&self, statement: &str) {
        self.try_sql(statement).unwrap();
    }

    /// The same, where it may fail.
    pub fn try_sql(&self, statement: &str) -> Result<(), sqlx::Error> {
        sql(self.kind, &self.name, statement)
    }

    /// Has what is started from now on use the database as somebody who may do nothing else.
    pub fn be_nobody_special(&mut self) {
        let (kind, name) = (self.kind, self.name.clone());
        assert_eq!(kind, Kind::MySql);
        // As long as a user's name may be on MySQL.
        let user = &name[..32];
        self.sql(&format!("CREATE USER {user} IDENTIFIED BY '{name}'; GRANT ALL ON {name}.* TO {user}"));
        let url = format!("mysql://{user}:{name}@{}/{name}", address(self.setting("DATABASE_URL")));
        self.set("DATABASE_URL", &url);
    }

    fn drop_database(&self) -> Result<(), sqlx::Error> {
        let Self { kind, name, .. } = self;
        let force = if *kind == Kind::Postgres { " WITH (FORCE)" } else { "" };
        kind.try_sql(&format!("DROP DATABASE {name}{force}"))?;
        if *kind == Kind::Postgres && self.disk.is_some() {
            kind.try_sql(&format!("DROP TABLESPACE {name}"))?;
        }
        Ok(())
    }

    /// A command, about to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = throng(self.directory.path());
        command.args(arguments).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // After a failure the database stays, to be looked at; but not where its disk goes, without which its server would
        // fail every test after this one.
        let failed = std::thread::panicking();
        if failed && self.disk.is_none() {
            return;
        }
        let dropped = self.drop_database();
        if !failed {
            dropped.unwrap();
        }
    }
}

/// Waits until a node shows `voters` ballots of the demo poll, and fails if it shows more.
#[track_caller]
pub fn wait_until_shown(node: &ThrongProcess, voters: u64) {
    wait_until_shown_within(node, voters..=voters);
}

/// Waits until a node shows as many ballots of the demo poll as the first of these, and fails if it shows more than the
/// last.
#[track_caller]
pub fn wait_until_shown_within(node: &ThrongProcess, voters: RangeInclusive<u64>) {
    let mut client = Client::new(node.address);
    let (least, most) = voters.into_inner();
    wait_until(&format!("{least} ballots, which were acknowledged, are shown"), || {
        let results = client.get_json("/api/v1/polls/demo/results");
        let shown = results["voters"].as_u64().unwrap();
        assert!(shown <= most, "{most} ballots at most were acknowledged, shown are {shown}: {results}");
        shown >= least
    });
}

const CACHE_URL: &str = "THRONG_TEST_MEMCACHED_URL";
const QUEUE_URL: &str = "THRONG_TEST_RABBITMQ_URL";

impl Kind {
    /// What its server's process is known by.
    pub fn server(self) -> ExternalServer {
        match self {
            Self::MySql => servers::MYSQL,
            Self::Postgres => servers::POSTGRES,
        }
    }

    /// Runs a statement in the database that is there before any other.
    #[track_caller]
    fn sql(self, statement: &str) {
        self.try_sql(statement).unwrap();
    }

    /// The same where it may fail.
    fn try_sql(self, statement: &str) -> Result<(), sqlx::Error> {
        let database = match self {
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
        };
        sql(self, database, statement)
    }
}

/// A name that no other has.
fn new_name() -> String {
    format!("t{}", Uuid::from_u128(rand::random()).simple())
}

fn server_url(kind: Kind) -> String {
    variable(match kind {
        Kind::MySql => "THRONG_TEST_MYSQL_URL",
        Kind::Postgres => "THRONG_TEST_POSTGRES_URL",
    })
}

/// The address in `scheme://user:password@address/name`.
fn address(url: &str) -> SocketAddr {
    let authority = url.split("://").nth(1).unwrap().split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().parse().unwrap()
}

fn sql(kind: Kind, database: &str, statement: &str) -> Result<(), sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("{}/{database}", server_url(kind));
    runtime.block_on(async {
        match kind {
            Kind::MySql => {
                let mut connection = sqlx::MySqlConnection::connect(&url).await?;
                connection.execute(sqlx::raw_sql(statement)).await?;
            }
            Kind::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&url).await?;
                connection.execute(sqlx::raw_sql(statement)).await?;
            }
        }
        Ok(())
    })
}
