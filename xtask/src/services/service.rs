//! One server that runs: waited for, and ended by its own process id, its children too.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, kill_process};

use super::Recipe;
use super::plot::Plot;
use crate::children;
use crate::stopwatch::{Stopwatch, wait_patiently, wait_until};

/// How long a server may take until it answers; several start at once, beside a build perhaps.
const START_MAX: Duration = Duration::from_secs(120);

/// How long a server may take to end in order.
const END_MAX: Duration = Duration::from_secs(30);

/// How long its children may take to notice that it has ended.
const FAMILY_MAX: Duration = Duration::from_secs(5);

/// Makes the data of a server that is about to be started.
///
/// # Errors
/// If it can't be made.
pub fn prepare(recipe: &Recipe, plot: &Plot) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    (recipe.prepare)(plot)?;
    eprintln!("{}: its data is made, in {:.1} s", recipe.name, watch.elapsed().as_secs_f64());
    Ok(())
}

/// A server. It ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    recipe: &'static Recipe,
    plot: Plot,
    watch: Stopwatch,
    child: Child,
    companion: Option<Child>,
}

impl Service {
    /// Starts one whose data is made. It doesn't answer yet.
    ///
    /// To be called from a thread that lives as long as the server shall.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(recipe: &'static Recipe, plot: Plot) -> anyhow::Result<Self> {
        let watch = Stopwatch::start();
        let start = |mut command: std::process::Command| {
            command.spawn().with_context(|| format!("{} can't be started", recipe.name))
        };
        let companion = recipe.companion.map(|command| start(command(&plot)?)).transpose()?;
        if companion.is_some() {
            let port = plot.ports[1];
            wait_until(START_MAX, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
                .with_context(|| format!("{}: nothing listens on port {port}:\n{}", recipe.name, plot.last_words()))?;
        }
        let child = start((recipe.command)(&plot)?)?;
        eprintln!("{}: process {}, port {}", recipe.name, child.id(), plot.ports[0]);
        Ok(Self { recipe, plot, watch, child, companion })
    }

    /// Waits until it takes in clients.
    ///
    /// # Errors
    /// If it ends instead, or takes too long; what it said is in the error.
    pub fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let name = self.recipe.name;
        let answered = wait_patiently(START_MAX, || match (self.recipe.answers)(self.plot.address()) {
            Ok(true) => Some(true),
            Ok(false) | Err(_) => self.child.try_wait().ok().flatten().map(|_| false),
        });
        match answered {
            Some(true) => {
                eprintln!("{name}: answers, after {:.1} s", self.watch.elapsed().as_secs_f64());
                Ok(())
            }
            Some(false) => bail!("{name} ended at once; it said:\n{}", self.plot.last_words()),
            None => {
                bail!("{name} doesn't answer within {} s; it said:\n{}", START_MAX.as_secs(), self.plot.last_words())
            }
        }
    }

    /// The environment variable that tells the tests where it is.
    pub fn variable(&self) -> &'static str {
        self.recipe.variable
    }

    /// Where it is, with its user and password.
    pub fn url(&self) -> String {
        self.plot.url()
    }

    /// Asks it to end, and doesn't wait.
    pub fn ask_to_end(&self) {
        let _ = kill_process(self.pid(), self.recipe.ending.signal());
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it in order; if it won't, by force. What was started for it is left alone.
    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let family = children::descendants(self.pid());
        self.ask_to_end();
        if wait_until(END_MAX, || self.child.try_wait().ok().flatten()).is_none() {
            eprintln!("{}: doesn't end, and is killed", self.recipe.name);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        children::see_off(&family, FAMILY_MAX);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
        if let Some(companion) = &mut self.companion {
            let _ = companion.kill();
            let _ = companion.wait();
        }
    }
}
