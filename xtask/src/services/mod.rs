//! The real servers that tests need: private instances on free ports of 127.0.0.1, whose data is gone when they end.
//! `cargo xtask services` starts them for a developer, `cargo xtask test` for its tests.

mod certificate;
mod ground;
mod mariadb;
mod memcached;
mod mysql;
mod plot;
mod ports;
mod postgres;
mod rabbitmq;
mod service;
mod wire;

use std::thread;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};

use self::ground::Ground;
use self::plot::Plot;
use self::service::Service;
use crate::compat::{Mount, Root};
use crate::packages::{self, Program, SETPRIV};

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

/// What there is to know about a kind of server.
#[derive(Debug)]
struct Recipe {
    name: &'static str,
    /// The environment variable that tells the tests where it is.
    variable: &'static str,
    /// What its URLs begin with.
    scheme: &'static str,
    /// Whether its URL names a user and a password.
    has_users: bool,
    programs: &'static [Program],
    /// The user it is given to if this is root and it refuses root.
    user: Option<&'static str>,
    ending: Ending,
    /// Makes its data and its configuration.
    prepare: fn(&Plot) -> anyhow::Result<()>,
    /// What must be running before it starts, on the plot's second port.
    companion: Option<fn(&Plot) -> anyhow::Result<std::process::Command>>,
    command: fn(&Plot) -> anyhow::Result<std::process::Command>,
    /// Whether it takes in clients now.
    answers: fn(std::net::SocketAddr) -> std::io::Result<bool>,
}

/// What a server takes for the wish that it ends at once, but in order.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Terminate,
    Interrupt,
}

impl Ending {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }

    /// What `setpriv` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
        }
    }
}

impl Kind {
    fn recipe(self) -> &'static Recipe {
        match self {
            Self::Mariadb => &mariadb::RECIPE,
            Self::Mysql => &mysql::RECIPE,
            Self::Postgres => &postgres::RECIPE,
            Self::Rabbitmq => &rabbitmq::RECIPE,
            Self::Memcached => &memcached::RECIPE,
        }
    }
}

/// Which servers `cargo xtask services` starts.
#[derive(Debug, Args)]
pub struct Options {
    /// These only; all if none is named
    kinds: Vec<Kind>,
}

/// Starts servers, prints the variables that tell tests where they are, and keeps them until Ctrl-C or SIGTERM.
///
/// # Errors
/// If one doesn't start.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let all = Kind::value_variants();
    let kinds = all.iter().copied().filter(|kind| options.kinds.is_empty() || options.kinds.contains(kind)).collect();
    // From here on a signal is waited for, so that it can't end this before the servers are ended.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(guard);
    let services = Services::start(unnamed(kinds))?;
    for (variable, url) in services.variables() {
        println!("export {variable}={url}");
    }
    eprintln!("they run until Ctrl-C");
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    eprintln!("ending them");
    drop(services);
    Ok(true)
}

/// Those of `kinds` for which the environment doesn't name a server yet: what a developer has set is used.
pub fn unnamed(kinds: Vec<Kind>) -> Vec<Kind> {
    unnamed_by(kinds, |name| std::env::var(name).ok())
}

fn unnamed_by(kinds: Vec<Kind>, variable: impl Fn(&str) -> Option<String>) -> Vec<Kind> {
    let named = |kind: &Kind| variable(kind.recipe().variable).is_some_and(|url| !url.is_empty());
    kinds.into_iter().filter(|kind| !named(kind)).collect()
}

/// Servers that run. They end when this is dropped.
#[derive(Debug)]
pub struct Services {
    running: Vec<Service>,
    _mounts: Vec<Mount>,
    // After the servers: their data.
    _ground: Ground,
}

impl Services {
    /// Starts one of each kind, side by side.
    ///
    /// To be called from a thread that lives as long as they shall: the system ends them when it is gone.
    ///
    /// # Errors
    /// If one doesn't start; what it said is in the error.
    pub fn start(kinds: Vec<Kind>) -> anyhow::Result<Self> {
        let recipes: Vec<_> = kinds.into_iter().map(Kind::recipe).collect();
        let programs: Vec<_> = recipes.iter().flat_map(|recipe| recipe.programs).chain([&SETPRIV]).copied().collect();
        packages::ensure(&programs).with_context(|| {
            let variables: Vec<_> = recipes.iter().map(|recipe| recipe.variable).collect();
            format!("or say where such a server runs already: {}", variables.join(", "))
        })?;
        Self::begin(&recipes, None)
    }

    /// The same, with the programs of another system.
    ///
    /// # Errors
    /// If one doesn't start.
    pub fn start_in(root: &Root, kinds: Vec<Kind>) -> anyhow::Result<Self> {
        Self::begin(&kinds.into_iter().map(Kind::recipe).collect::<Vec<_>>(), Some(root))
    }

    fn begin(recipes: &[&'static Recipe], root: Option<&Root>) -> anyhow::Result<Self> {
        let ground = Ground::open()?;
        let mounts = root.map(|root| root.mount(&ground.directory)).transpose()?;
        let root = root.map(Root::directory);
        let places = recipes.iter().zip(ports::free(recipes.len())?);
        let plots: Vec<_> = places
            .map(|(recipe, ports)| Plot::new(recipe, ports, &ground.directory, root))
            .collect::<anyhow::Result<_>>()?;
        thread::scope(|scope| {
            let prepare = |(recipe, plot)| scope.spawn(move || service::prepare(recipe, plot));
            let preparing: Vec<_> = recipes.iter().copied().zip(&plots).map(prepare).collect();
            preparing.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("preparing panicked"))?)
        })?;
        let mut services =
            Self { running: Vec::new(), _mounts: mounts.into_iter().flatten().collect(), _ground: ground };
        for (recipe, plot) in recipes.iter().copied().zip(plots) {
            services.running.push(Service::start(recipe, plot)?);
        }
        services.running.iter().try_for_each(Service::wait_until_it_answers)?;
        Ok(services)
    }

    /// The environment variables that tell the tests where they are.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.running.iter().flat_map(Service::variables)
    }

    /// The processes that they are now.
    pub fn pids(&self) -> Vec<Pid> {
        self.running.iter().flat_map(Service::pids).collect()
    }

    /// The process that the server of this kind is now.
    pub fn pid(&self, kind: Kind) -> Option<Pid> {
        let variable = kind.recipe().variable;
        self.running.iter().find(|service| service.variable() == variable).and_then(Service::pid)
    }

    /// Where the server of this kind is, if it is one of these.
    pub fn url(&self, kind: Kind) -> Option<String> {
        let variable = kind.recipe().variable;
        self.running.iter().find(|service| service.variable() == variable).map(Service::url)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // All at once; each then waits for its own.
        self.running.iter().for_each(Service::ask_to_end);
    }
}
