//! One server that runs: waited for, started again if it dies, and ended by its own process id, its children too.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::Recipe;
use super::certificate::CERTIFICATE;
use super::plot::{self, Plot};
use crate::children;
use crate::stopwatch::{Stopwatch, wait_patiently, wait_until};

/// How long a server may take until it answers; several start at once, beside a build perhaps.
const START_MAX: Duration = Duration::from_secs(120);

/// How long a server may take to end in order.
const END_MAX: Duration = Duration::from_secs(30);

/// How long its children may take to notice that it has ended.
const FAMILY_MAX: Duration = Duration::from_secs(5);

/// The file that has the process id of the server that runs now.
const PID_FILE: &str = "process";

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

/// A server. It is started again should it die, since tests kill it; it ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    recipe: &'static Recipe,
    plot: Arc<Plot>,
    watch: Stopwatch,
    life: Arc<Life>,
    keeper: Option<JoinHandle<()>>,
    companion: Option<Child>,
}

/// What a server and its keeper share.
#[derive(Debug, Default)]
struct Life {
    /// The process; `None` from its end to its next start.
    pid: Mutex<Option<Pid>>,
    /// Whether it is to be started again: from its first answer until it is asked to end.
    is_kept: AtomicBool,
    has_ended: AtomicBool,
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
        let start = |mut command: Command| command.spawn().with_context(|| format!("{} can't be started", recipe.name));
        let companion = recipe.companion.map(|command| start(command(&plot)?)).transpose()?;
        if companion.is_some() {
            let port = plot.ports[1];
            wait_until(START_MAX, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
                .with_context(|| format!("{}: nothing listens on port {port}:\n{}", recipe.name, plot.last_words()))?;
        }
        let (plot, life) = (Arc::new(plot), Arc::new(Life::default()));
        let kept = (Arc::clone(&plot), Arc::clone(&life));
        let (started, first) = mpsc::sync_channel(1);
        // The system ends a server when the thread that started it is gone, so one thread starts it again and again.
        let keeper = thread::spawn(move || keep(recipe, &kept.0, &kept.1, &started));
        let pid = first.recv().context("its keeper panicked")??;
        eprintln!("{}: process {pid}, port {}", recipe.name, plot.ports[0]);
        Ok(Self { recipe, plot, watch, life, keeper: Some(keeper), companion })
    }

    /// Waits until it takes in clients.
    ///
    /// # Errors
    /// If it ends instead, or takes too long; what it said is in the error.
    pub fn wait_until_it_answers(&self) -> anyhow::Result<()> {
        let name = self.recipe.name;
        let answered = wait_patiently(START_MAX, || match (self.recipe.answers)(self.plot.address()) {
            Ok(true) => Some(true),
            Ok(false) | Err(_) => self.life.has_ended.load(Ordering::Acquire).then_some(false),
        });
        match answered {
            Some(true) => {
                self.life.is_kept.store(true, Ordering::Release);
                eprintln!("{name}: answers, after {:.1} s", self.watch.elapsed().as_secs_f64());
                Ok(())
            }
            Some(false) => bail!("{name} ended at once; it said:\n{}", self.plot.last_words()),
            None => {
                bail!("{name} doesn't answer within {} s; it said:\n{}", START_MAX.as_secs(), self.plot.last_words())
            }
        }
    }

    /// The environment variables that tell the tests all about it: where it is, where its process id is written, whose
    /// certificate it has, and what its administrator would type.
    pub fn variables(&self) -> Vec<(String, String)> {
        let name = |what: &str| self.recipe.variable.replace("_URL", what);
        let mut variables =
            vec![(self.recipe.variable.to_owned(), self.url()), (name("_PID_FILE"), self.plot.path(PID_FILE))];
        if self.plot.directory.join(CERTIFICATE).exists() {
            variables.push((name("_CA"), self.plot.path(CERTIFICATE)));
        }
        if self.plot.directory.join(plot::CONTROL).exists() {
            variables.push((name("_CONTROL"), self.plot.path(plot::CONTROL)));
        }
        variables
    }

    /// The environment variable that tells the tests where it is.
    pub fn variable(&self) -> &'static str {
        self.recipe.variable
    }

    /// The process that it is now; `None` from its end to its next start.
    pub fn pid(&self) -> Option<Pid> {
        *self.life.pid()
    }

    /// That, and what was started for it.
    pub fn pids(&self) -> Vec<Pid> {
        self.companion.iter().map(Pid::from_child).chain(self.pid()).collect()
    }

    /// Where it is, with its user and password.
    pub fn url(&self) -> String {
        self.plot.url()
    }

    /// Asks it to end, and doesn't wait.
    pub fn ask_to_end(&self) {
        self.life.is_kept.store(false, Ordering::Release);
        if let Some(pid) = *self.life.pid() {
            let _ = kill_process(pid, self.recipe.ending.signal());
            // A test that failed may have left it frozen.
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Ends it in order; if it won't, by force. What was started for it is left alone.
    fn end(&mut self) {
        let family = self.life.pid().map_or_else(Vec::new, children::descendants);
        self.ask_to_end();
        if wait_until(END_MAX, || self.life.has_ended.load(Ordering::Acquire).then_some(())).is_none() {
            eprintln!("{}: doesn't end, and is killed", self.recipe.name);
            if let Some(pid) = *self.life.pid() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
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

impl Life {
    fn pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a server, and starts it again as long as it is kept. `started` hears of the first start.
fn keep(recipe: &Recipe, plot: &Plot, life: &Life, started: &SyncSender<anyhow::Result<u32>>) {
    loop {
        match spawn(recipe, plot, life) {
            Ok(mut child) => {
                let _ = started.try_send(Ok(child.id()));
                // Not yet reaped, its process id is still its own.
                let _ = waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
                *life.pid() = None;
                let _ = child.wait();
            }
            Err(error) => {
                eprintln!("{}: {error:#}", recipe.name);
                let _ = started.try_send(Err(error));
                break;
            }
        }
        if !life.is_kept.load(Ordering::Acquire) {
            break;
        }
        eprintln!("{}: ended, and is started again", recipe.name);
    }
    life.has_ended.store(true, Ordering::Release);
}

fn spawn(recipe: &Recipe, plot: &Plot, life: &Life) -> anyhow::Result<Child> {
    let child = (recipe.command)(plot)?.spawn().with_context(|| format!("{} can't be started", recipe.name))?;
    plot.write(PID_FILE, &child.id().to_string())?;
    *life.pid() = Some(Pid::from_child(&child));
    Ok(child)
}
