//! The real servers that tests need: private instances on free ports of 127.0.0.1, whose data is removed when they end.
//! `cargo xtask services` starts them for a developer, `cargo xtask test` for its tests.

mod certificate;
mod instance;
mod mariadb;
mod memcached;
mod mysql;
mod ports;
mod postgres;
mod rabbitmq;
mod service;
mod wire;
mod work_dir;

use std::thread;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};

pub use self::certificate::OPENSSL;
use self::instance::{Instance, ServerSpec};
use self::service::Service;
use self::work_dir::WorkDir;
use crate::compat::{Mount, Root};
use crate::packages::{self, SETPRIV};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// MariaDB, for `mysql://`
    Mariadb,
    /// MySQL, for `mysql://` too; Debian's stable releases don't have it
    #[value(skip)]
    Mysql,
    /// PostgreSQL
    Postgres,
    /// RabbitMQ
    Rabbitmq,
    /// memcached
    Memcached,
}

impl Kind {
    fn spec(self) -> &'static ServerSpec {
        match self {
            Self::Mariadb => &mariadb::SPEC,
            Self::Mysql => &mysql::SPEC,
            Self::Postgres => &postgres::SPEC,
            Self::Rabbitmq => &rabbitmq::SPEC,
            Self::Memcached => &memcached::SPEC,
        }
    }
}

/// Which servers `cargo xtask services` starts.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these kinds; all if none is given
    kinds: Vec<Kind>,
}

/// Starts servers, prints the environment variables with their URLs for tests, and runs them until Ctrl-C or SIGTERM.
///
/// # Errors
/// If one doesn't start.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let all = Kind::value_variants();
    let kinds = all.iter().copied().filter(|kind| options.kinds.is_empty() || options.kinds.contains(kind)).collect();
    // From here on signals are handled, so that they can't end this process before the servers have ended.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(guard);
    let services = Services::start(unnamed(kinds))?;
    for (variable, url) in services.variables() {
        println!("export {variable}={url}");
    }
    eprintln!("running until Ctrl-C");
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    eprintln!("stopping the servers");
    drop(services);
    Ok(true)
}

/// The `kinds` for which the environment doesn't name a server; a server that the developer has named is used instead.
pub fn unnamed(kinds: Vec<Kind>) -> Vec<Kind> {
    unnamed_by(kinds, |name| std::env::var(name).ok())
}

fn unnamed_by(kinds: Vec<Kind>, variable: impl Fn(&str) -> Option<String>) -> Vec<Kind> {
    let named = |kind: &Kind| variable(kind.spec().variable).is_some_and(|url| !url.is_empty());
    kinds.into_iter().filter(|kind| !named(kind)).collect()
}

/// Running servers. They are stopped when this is dropped.
#[derive(Debug)]
pub struct Services {
    running: Vec<Service>,
    _mounts: Vec<Mount>,
    // Dropped after the servers: their data.
    _work_dir: WorkDir,
}

impl Services {
    /// Starts one server of each kind, in parallel.
    ///
    /// Must be called from a thread that lives as long as the servers are needed: the system ends them when it ends.
    ///
    /// # Errors
    /// If one doesn't start; the error contains the end of its log.
    pub fn start(kinds: Vec<Kind>) -> anyhow::Result<Self> {
        let specs: Vec<_> = kinds.into_iter().map(Kind::spec).collect();
        let programs: Vec<_> = specs.iter().flat_map(|spec| spec.programs).chain([&SETPRIV]).copied().collect();
        packages::ensure(&programs).with_context(|| {
            let variables: Vec<_> = specs.iter().map(|spec| spec.variable).collect();
            format!("or set the URLs of servers that already run: {}", variables.join(", "))
        })?;
        Self::start_specs(&specs, None)
    }

    /// Like [`start`](Self::start), with the programs of another system.
    ///
    /// # Errors
    /// If one doesn't start.
    pub fn start_in(root: &Root, kinds: Vec<Kind>) -> anyhow::Result<Self> {
        Self::start_specs(&kinds.into_iter().map(Kind::spec).collect::<Vec<_>>(), Some(root))
    }

    fn start_specs(specs: &[&'static ServerSpec], root: Option<&Root>) -> anyhow::Result<Self> {
        let work_dir = WorkDir::open()?;
        let mounts = root.map(|root| root.mount(&work_dir.directory)).transpose()?;
        let root = root.map(Root::directory);
        let with_ports = specs.iter().zip(ports::free(specs.len())?);
        let instances: Vec<_> = with_ports
            .map(|(spec, ports)| Instance::new(spec, ports, &work_dir.directory, root))
            .collect::<anyhow::Result<_>>()?;
        thread::scope(|scope| {
            let prepare = |(spec, instance)| scope.spawn(move || service::prepare(spec, instance));
            let preparing: Vec<_> = specs.iter().copied().zip(&instances).map(prepare).collect();
            preparing
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("preparing a server panicked"))?)
        })?;
        let mut services =
            Self { running: Vec::new(), _mounts: mounts.into_iter().flatten().collect(), _work_dir: work_dir };
        for (spec, instance) in specs.iter().copied().zip(instances) {
            services.running.push(Service::start(spec, instance)?);
        }
        services.running.iter().try_for_each(Service::wait_until_ready)?;
        Ok(services)
    }

    /// The environment variables that describe them to the tests.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.running.iter().flat_map(Service::variables)
    }

    /// The lengths of their logs, for [`Self::errors_since`].
    pub fn log_bytes(&self) -> Vec<u64> {
        self.running.iter().map(Service::log_bytes).collect()
    }

    /// The first errors in their logs since the logs had these lengths.
    pub fn errors_since(&self, starts: &[u64]) -> Vec<String> {
        self.running.iter().zip(starts).flat_map(|(service, start)| service.errors_since(*start)).collect()
    }

    /// Their current processes.
    pub fn pids(&self) -> Vec<Pid> {
        self.running.iter().flat_map(Service::pids).collect()
    }

    /// The current process of the server of this kind.
    pub fn pid(&self, kind: Kind) -> Option<Pid> {
        let variable = kind.spec().variable;
        self.running.iter().find(|service| service.variable() == variable).and_then(Service::pid)
    }

    /// The URL of the server of this kind, if it is one of these.
    pub fn url(&self, kind: Kind) -> Option<String> {
        let variable = kind.spec().variable;
        self.running.iter().find(|service| service.variable() == variable).map(Service::url)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // All are signalled before the first is waited for.
        self.running.iter().for_each(Service::request_stop);
    }
}
