//! Throng without a broker, on a database server of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::request::Request;
use super::server::Server;
use super::sql_client::create_database;
use crate::services::Kind;

/// Throng directly on a database server.
#[derive(Clone, Debug)]
pub struct OneDatabase {
    program: PathBuf,
    kind: Kind,
    server: String,
    /// Distinguishes its databases from those of others.
    name: &'static str,
    options: &'static str,
    next_number: Arc<AtomicU32>,
}

impl OneDatabase {
    /// On the database server of this kind at the URL `server`. `name` must be unique; `options` are the part of the database's
    /// URL after its name.
    pub fn on(name: &'static str, kind: Kind, program: PathBuf, server: String, options: &'static str) -> Self {
        Self { program, kind, server, name, options, next_number: Arc::default() }
    }

    /// Starts it on a new database.
    ///
    /// # Errors
    /// If the database can't be created, or Throng doesn't respond.
    pub fn start(&self, directory: &Path) -> anyhow::Result<Server> {
        let name = format!("bench_{}_{}", self.name, self.next_number.fetch_add(1, Ordering::Relaxed));
        create_database(self.kind, &self.server, &name)?;
        let url = format!("{}/{name}{}", self.server, self.options);
        Server::start(&self.program, directory, Request::Result, |command, address| {
            command.args(["--listen", &address.to_string(), "--database-url", &url]);
            Ok(())
        })
    }
}
