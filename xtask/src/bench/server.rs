//! A server under load: started on a port of its own, and ended by its own process id.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::contender::Request;
use super::http::ask;
use super::process::Family;
use crate::command;
use crate::packages::SETPRIV;
use crate::stopwatch::{Stopwatch, wait_until};

/// How long a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(10);

/// How long a server may take to end: Throng gives the requests under way 10 s.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Processes that belong to it, asked to end before it.
    beside: Vec<Child>,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub started_in: Duration,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` adds for an address; its words go to a log in `directory`,
    /// where it runs. Returns once it has answered `request`.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub fn start(
        program: &Path,
        directory: &Path,
        request: Request,
        arguments: impl FnOnce(&mut Command, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let log = directory.join("log");
        let words = File::create(&log)?;
        let mut command = command::program(SETPRIV.name);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).current_dir(directory);
        // Nothing that a developer has set changes what is measured.
        command.env_clear().stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
        arguments(&mut command, address)?;
        let watch = Stopwatch::start();
        let child = command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        let mut server = Self { child, beside: Vec::new(), address, started_in: Duration::ZERO };
        let answered = wait_until(START_MAX, || match ask(address, request) {
            Ok(_) => Some(true),
            Err(_) => server.child.try_wait().ok().flatten().map(|_| false),
        });
        server.started_in = watch.elapsed();
        if answered != Some(true) {
            let words = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{} doesn't answer; it said: {words}", program.display());
        }
        Ok(server)
    }

    /// Starts a process that belongs to it, with `settings` for its environment; its words go to a log in `directory`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start_beside(
        &mut self,
        program: &Path,
        argument: &str,
        settings: &[(&str, String)],
        directory: &Path,
    ) -> anyhow::Result<()> {
        let words = File::create(directory.join(argument))?;
        let mut command = command::program(SETPRIV.name);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).arg(argument).current_dir(directory);
        command.env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
        self.beside.push(command.spawn().with_context(|| format!("{} can't be started", program.display()))?);
        Ok(())
    }

    /// The processes that it consists of.
    ///
    /// # Errors
    /// If it has ended.
    pub fn family(&self) -> anyhow::Result<Family> {
        Family::of(self.child.id())
    }

    /// The process that was last started beside it.
    ///
    /// # Errors
    /// If there is none, or it has ended.
    pub fn beside(&self) -> anyhow::Result<Family> {
        Family::of(self.beside.last().context("nothing runs beside the server")?.id())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it doesn't end in time.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end_beside();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        match wait_until(STOP_MAX, || self.child.try_wait().ok().flatten()) {
            Some(_) => Ok(()),
            None => bail!("process {} didn't end within {} s of SIGTERM", self.child.id(), STOP_MAX.as_secs()),
        }
    }
}

impl Server {
    fn end_beside(&mut self) {
        for mut child in self.beside.drain(..) {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            if wait_until(STOP_MAX, || child.try_wait().ok().flatten()).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// A server that wasn't stopped, because something failed, is ended here.
impl Drop for Server {
    fn drop(&mut self) {
        self.end_beside();
        if matches!(self.child.try_wait(), Ok(None)) {
            // TERM first: killed outright, nginx would leave its workers behind.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            if wait_until(STOP_MAX, || self.child.try_wait().ok().flatten()).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// An address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
