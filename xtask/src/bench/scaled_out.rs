//! A scaled-out Throng, entirely on this machine: web nodes, RabbitMQ, workers, a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;

use super::request::Request;
use super::server::Server;
use super::sql_client::create_database;
use crate::services::{Kind, Services};

/// The servers that it needs.
pub const SERVERS: [Kind; 3] = [Kind::Mariadb, Kind::Postgres, Kind::Rabbitmq];

/// The secret of the systems that are measured.
const SECRET: &str = "only for measuring, on this machine";

/// The setting with the name of a system's queue.
const QUEUE_PREFIX: &str = "QUEUE_PREFIX";

/// Throng on a kind of database, behind a broker.
#[derive(Clone, Debug)]
pub struct ScaledOut {
    program: PathBuf,
    kind: Kind,
    database: String,
    broker: String,
    /// The part of its URL after the database.
    options: &'static str,
    /// Distinguishes its systems from those of others.
    name: &'static str,
    /// The number of the next system.
    next_number: Arc<AtomicU32>,
}

/// One system: the settings of its web nodes and workers.
#[derive(Clone, Debug)]
pub struct System {
    program: PathBuf,
    settings: [(&'static str, String); 5],
    /// The name of its database.
    pub database: String,
    /// The number of its next queue, if it gets several one after the other.
    next_queue: Arc<AtomicU32>,
}

impl ScaledOut {
    /// On the database of this kind among `services`. `name` must be unique.
    ///
    /// # Errors
    /// If `services` has no such database, or no broker.
    pub fn on(name: &'static str, kind: Kind, program: PathBuf, services: &Services) -> anyhow::Result<Self> {
        let database = services.url(kind).context("the database isn't running")?;
        let broker = services.url(Kind::Rabbitmq).context("RabbitMQ isn't running")?;
        Ok(Self { program, kind, database, broker, options: "", name, next_number: Arc::default() })
    }

    /// The same, with these options in its database's URL.
    pub fn with_options(self, options: &'static str) -> Self {
        Self { options, ..self }
    }

    /// Sets up a new system, with a database of its own.
    ///
    /// # Errors
    /// If the database can't be created.
    pub fn set_up(&self) -> anyhow::Result<System> {
        let name = format!("bench_{}_{}", self.name, self.next_number.fetch_add(1, Ordering::Relaxed));
        create_database(self.kind, &self.database, &name)?;
        let settings = [
            ("DATABASE_URL", format!("{}/{name}{}", self.database, self.options)),
            ("QUEUE_URL", format!("{}/%2f", self.broker)),
            (QUEUE_PREFIX, name.replace('_', "-")),
            ("APP_SECRET", SECRET.to_owned()),
            ("WORKER_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        Ok(System { program: self.program.clone(), settings, database: name, next_queue: Arc::default() })
    }
}

impl System {
    /// The same on a new queue: the ballots that clients left unanswered at the end of a load may still be on the last one.
    pub fn on_new_queue(&self) -> Self {
        let number = self.next_queue.fetch_add(1, Ordering::Relaxed);
        let queue = format!("{}-{number}", self.database.replace('_', "-"));
        let settings = self.settings.clone();
        let settings = settings.map(|(name, value)| (name, if name == QUEUE_PREFIX { queue.clone() } else { value }));
        Self { settings, ..self.clone() }
    }

    /// Starts a web node, which writes its log in `directory`.
    ///
    /// # Errors
    /// If it doesn't respond.
    pub fn web(&self, directory: &Path) -> anyhow::Result<Server> {
        Server::start(&self.program, directory, Request::Result, |command, address| {
            command.args(["--listen", &address.to_string()]);
            command.envs(self.settings.iter().map(|(name, value)| (name, value)));
            Ok(())
        })
    }

    /// Starts a worker, which is stopped before `web`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn worker(&self, web: &mut Server, directory: &Path) -> anyhow::Result<()> {
        web.start_companion(&self.program, "worker", &self.settings, directory)
    }
}
