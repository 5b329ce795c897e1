//! The servers that are compared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::http::fetch;
use super::one_database::OneDatabase;
use super::request::Request;
use super::scaled_out::{ScaledOut, System};
use super::server::Server;
use super::signed_votes::SignedVotes;
use crate::packages;
use crate::stopwatch::wait_checking_rarely;

/// The response of the empty servers: the same bytes as for a vote.
const RESPONSE: &str = r#"{"1":100000,"2":0,"3":100000,"4":0,"5":0}"#;

/// How long it may take until a started server accepts a vote.
const VOTE_MAX: Duration = Duration::from_secs(60);

/// A server, and the request that it gets.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in tables.
    pub name: &'static str,
    /// The server.
    pub kind: Kind,
    /// The request that it gets.
    pub request: Request,
}

/// A kind of server.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A binary of this workspace that responds with [`RESPONSE`] to everything: its path, and its arguments after the address.
    Empty(PathBuf, &'static [&'static str]),
    /// nginx with `return 200`.
    Nginx,
    /// Throng, at this path, on a database.
    Throng(PathBuf, Database, Processors),
    /// Throng on a database server.
    OneDatabase(OneDatabase),
    /// Throng scaled out: a web node and a broker, with or without a worker.
    ScaledOut { system: ScaledOut, worker: bool },
    /// Throng scaled out with a worker, on a system whose database grows from run to run.
    KeptSystem(System),
    /// Throng on a new file for each run, with votes that have tokens.
    Signed(SignedVotes),
}

/// Whether Throng keeps processors from sleeping while many clients vote, where the system permits it: `KEEP_AWAKE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processors {
    /// As shipped.
    Awake,
    /// As where the system doesn't permit it.
    MaySleep,
}

/// Where Throng stores its ballots.
#[derive(Clone, Debug)]
pub enum Database {
    /// A new file for each run.
    Fresh,
    /// This file, which grows from run to run.
    Kept(PathBuf),
    /// The same, with voters that are read after the start: it has started once a vote is accepted.
    OfVoters(PathBuf),
}

impl Contender {
    /// Starts it; its files are written to `directory`.
    ///
    /// # Errors
    /// If it doesn't respond.
    pub fn start(&self, directory: &Path) -> anyhow::Result<Server> {
        match &self.kind {
            Kind::Empty(program, arguments) => Server::start(program, directory, Request::Vote, |command, address| {
                command.arg(address.to_string()).args(*arguments);
                Ok(())
            }),
            Kind::Nginx => {
                let program = packages::find("nginx").context("nginx is missing")?;
                let configuration = directory.join("nginx.conf");
                Server::start(&program, directory, Request::Vote, |command, address| {
                    std::fs::write(&configuration, nginx_configuration(directory, &address.to_string()))?;
                    command.arg("-p").arg(directory).arg("-c").arg(&configuration);
                    command.arg("-e").arg(directory.join("error.log"));
                    Ok(())
                })
            }
            Kind::OneDatabase(database) => database.start(directory),
            Kind::ScaledOut { system, worker } => {
                let system = system.set_up()?;
                let mut web = system.web(directory)?;
                if *worker {
                    system.worker(&mut web, directory)?;
                }
                Ok(web)
            }
            Kind::KeptSystem(system) => {
                let system = system.on_new_queue();
                let mut web = system.web(directory)?;
                system.worker(&mut web, directory)?;
                Ok(web)
            }
            Kind::Signed(votes) => votes.start(directory),
            Kind::Throng(program, database, processors) => {
                let file = match database {
                    Database::Fresh => directory.join("throng.db"),
                    Database::Kept(file) | Database::OfVoters(file) => file.clone(),
                };
                let server = start_throng(program, directory, &file, *processors)?;
                match database {
                    Database::Fresh | Database::Kept(_) => {}
                    Database::OfVoters(_) => wait_for_vote(&server)?,
                }
                Ok(server)
            }
        }
    }

    /// The headers that each of its requests has.
    pub fn headers(&self) -> Vec<String> {
        match &self.kind {
            Kind::Signed(votes) => vec![votes.header()],
            Kind::Empty(..)
            | Kind::Nginx
            | Kind::Throng(..)
            | Kind::OneDatabase(_)
            | Kind::ScaledOut { .. }
            | Kind::KeptSystem(_) => Vec::new(),
        }
    }

    /// Whether it counts ballots.
    pub fn counts(&self) -> bool {
        let counts = match &self.kind {
            Kind::Empty(..) | Kind::Nginx => false,
            Kind::Throng(..) | Kind::OneDatabase(_) | Kind::KeptSystem(_) | Kind::Signed(_) => true,
            Kind::ScaledOut { worker, .. } => *worker,
        };
        counts && self.request == Request::Vote
    }
}

/// Starts Throng as shipped, on `file`.
///
/// # Errors
/// If it doesn't respond.
pub fn start_throng(program: &Path, directory: &Path, file: &Path, processors: Processors) -> anyhow::Result<Server> {
    Server::start(program, directory, Request::Result, |command, address| {
        let database = format!("sqlite://{}", file.display());
        command.args(["--listen", &address.to_string(), "--database-url", &database]);
        command.env("KEEP_AWAKE", (processors == Processors::Awake).to_string());
        Ok(())
    })
}

/// Sends votes until one is accepted.
///
/// # Errors
/// If none is.
pub fn wait_for_vote(server: &Server) -> anyhow::Result<()> {
    let accepted = wait_checking_rarely(VOTE_MAX, || fetch(server.address, Request::Vote).ok());
    accepted.map(drop).with_context(|| format!("no vote was accepted within {} s", VOTE_MAX.as_secs()))
}

/// Configures nginx for speed, without files outside `directory`. It reads a request's body before the next request.
fn nginx_configuration(directory: &Path, address: &str) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/json;
  server {{
    listen {address} reuseport;
    location = /api/submit {{ return 200 '{RESPONSE}'; }}
  }}
}}
"
    )
}
