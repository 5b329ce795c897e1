//! `cargo xtask bench chain`: what a vote costs scaled out, with load, web node, broker, worker and database on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};

use super::contender::{Contender, Kind, Request};
use super::machine::Machine;
use super::report::{Comparison, Fact, Ratio, Report};
use super::runs::{self, Run};
use super::server::Server;
use super::{Plan, Workshop, load, machine, went_well};
use crate::command;
use crate::packages::{self, SETPRIV};
use crate::services::{self, Services};

const CONNECTIONS: [usize; 2] = [64, 1000];

const EMPTY_AXUM: &str = "empty axum::serve";
const WEB_AND_BROKER: &str = "web + broker";
const ON_MARIADB: &str = "all, on MariaDB";
const ON_POSTGRES: &str = "all, on PostgreSQL";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: WEB_AND_BROKER, bottom: EMPTY_AXUM, bars: &[(64, None), (1000, Some(0.80))] },
    Comparison { top: ON_MARIADB, bottom: EMPTY_AXUM, bars: &[(64, Some(0.18)), (1000, Some(0.60))] },
    Comparison { top: ON_POSTGRES, bottom: EMPTY_AXUM, bars: &[(64, Some(0.18)), (1000, Some(0.60))] },
];

/// The secret of the systems that are measured.
const SECRET: &str = "only for measuring, on this machine";

/// Measures, prints and stores.
///
/// # Errors
/// If it can't be measured.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    let workshop = Workshop::open()?;
    let kinds = [services::Kind::Mariadb, services::Kind::Postgres, services::Kind::Rabbitmq];
    let services = Services::start(kinds.to_vec())?;
    let machine = Machine::describe(&workshop.scratch)?;
    let contenders = contenders(&workshop, &services)?;
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &workshop.scratch)?;
    let facts = counted_fact(&runs).into_iter().collect();
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let notes = vec!["Processor time and memory are those of the web node alone.".to_owned()];
    let date = machine::today();
    Report { name: "chain", date, machine, plan: plan.clone(), notes, facts, ratios, runs }.publish(&plan.out)?;
    Ok(went_well(&faults))
}

fn contenders(workshop: &Workshop, services: &Services) -> anyhow::Result<[Contender; 4]> {
    let made = Arc::new(AtomicU32::new(0));
    let broker = services.url(services::Kind::Rabbitmq).context("RabbitMQ runs")?;
    let chain = |name, kind, worker| -> anyhow::Result<Contender> {
        let database = services.url(kind).context("the database runs")?;
        let chain = Chain {
            program: workshop.throng(),
            database: (kind, database),
            broker: broker.clone(),
            worker,
            made: Arc::clone(&made),
        };
        Ok(Contender { name, kind: Kind::Chain(chain), request: Request::Vote })
    };
    let empty = Kind::Empty(workshop.example("empty_axum"), &[]);
    Ok([
        Contender { name: EMPTY_AXUM, kind: empty, request: Request::Vote },
        chain(WEB_AND_BROKER, services::Kind::Postgres, false)?,
        chain(ON_MARIADB, services::Kind::Mariadb, true)?,
        chain(ON_POSTGRES, services::Kind::Postgres, true)?,
    ])
}

/// The longest time that ballots took to be counted after the end of a load.
fn counted_fact(runs: &[Run]) -> Option<Fact> {
    let longest = runs.iter().filter_map(|run| run.counted_after_s).max_by(f64::total_cmp)?;
    Some(Fact::new("the last ballot counted, after the load's end", longest, "s", 1.0))
}

/// Throng scaled out. Each start has a database and queues of its own.
#[derive(Clone, Debug)]
pub struct Chain {
    program: PathBuf,
    /// The server that has the databases, and its URL.
    database: (services::Kind, String),
    broker: String,
    /// Whether somebody takes the ballots from the broker.
    pub worker: bool,
    /// How many systems were made.
    made: Arc<AtomicU32>,
}

impl Chain {
    /// Starts a web node, and its worker.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub fn start(&self, directory: &Path) -> anyhow::Result<Server> {
        let name = format!("bench{}", self.made.fetch_add(1, Ordering::Relaxed));
        let (kind, url) = &self.database;
        create_database(*kind, url, &name)?;
        let settings = [
            ("DATABASE_URL", format!("{url}/{name}")),
            ("QUEUE_URL", format!("{}/%2f", self.broker)),
            ("QUEUE_PREFIX", name),
            ("APP_SECRET", SECRET.to_owned()),
            ("WORKER_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let mut server = Server::start(&self.program, directory, Request::Result, |command, address| {
            command.args(["--listen", &address.to_string()]);
            command.envs(settings.iter().map(|(name, value)| (name, value)));
            Ok(())
        })?;
        if self.worker {
            server.start_beside(&self.program, "worker", &settings, directory)?;
        }
        Ok(server)
    }
}

/// Makes a database, by the server's own client.
fn create_database(kind: services::Kind, url: &str, name: &str) -> anyhow::Result<()> {
    let statement = format!("CREATE DATABASE {name}");
    match kind {
        services::Kind::Postgres => {
            let mut psql = command::program("psql");
            command::output(psql.arg(format!("{url}/postgres")).args(["-q", "-c", &statement]))?;
        }
        services::Kind::Mariadb => {
            let (user, password, host, port) = parts(url).context("the URL isn't one of ours")?;
            let mut mariadb = command::program("mariadb");
            mariadb.args(["-u", user, "-h", host, "-P", port, "-e", &statement]).env("MYSQL_PWD", password);
            command::output(&mut mariadb)?;
        }
        services::Kind::Rabbitmq | services::Kind::Memcached => bail!("that is no database"),
    }
    Ok(())
}

/// User, password, host and port of `scheme://user:password@host:port`.
fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (user, rest) = url.split_once("://")?.1.split_once(':')?;
    let (password, place) = rest.split_once('@')?;
    let (host, port) = place.split_once(':')?;
    Some((user, password, host, port))
}
