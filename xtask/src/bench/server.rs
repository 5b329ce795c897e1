//! A server under load: started on a port of its own, and stopped by process id.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::http::fetch;
use super::process::Processes;
use super::request::Request;
use crate::command;
use crate::packages::SETPRIV;
use crate::stopwatch::{Stopwatch, wait_until};

/// How long a server may take to its first response.
const START_MAX: Duration = Duration::from_secs(10);

/// How long a server may take to end: Throng allows requests in flight 10 s.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Processes that belong to it, which are stopped before it.
    companions: Vec<Child>,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The time from its start to its first response.
    pub started_in: Duration,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` adds for an address; its output goes to a log in `directory`, which
    /// is its working directory. Returns once it has responded to `request`.
    ///
    /// # Errors
    /// If it doesn't respond.
    pub fn start(
        program: &Path,
        directory: &Path,
        request: Request,
        arguments: impl FnOnce(&mut Command, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let log = directory.join("log");
        let output = File::create(&log)?;
        let mut command = command::program(SETPRIV.name);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).current_dir(directory);
        // The developer's environment doesn't affect the measurement.
        command.env_clear().stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        arguments(&mut command, address)?;
        let watch = Stopwatch::start();
        let child = command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        let mut server = Self { child, companions: Vec::new(), address, started_in: Duration::ZERO };
        let responded = wait_until(START_MAX, || match fetch(address, request) {
            Ok(_) => Some(true),
            Err(_) => server.child.try_wait().ok().flatten().map(|_| false),
        });
        server.started_in = watch.elapsed();
        if responded != Some(true) {
            let output = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{} doesn't respond; its log: {output}", program.display());
        }
        Ok(server)
    }

    /// Starts a process that belongs to it, with `settings` as its environment; its output goes to a log in `directory`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start_companion(
        &mut self,
        program: &Path,
        argument: &str,
        settings: &[(&str, String)],
        directory: &Path,
    ) -> anyhow::Result<()> {
        let output = File::create(directory.join(argument))?;
        let mut command = command::program(SETPRIV.name);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).arg(argument).current_dir(directory);
        command.env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.companions.push(command.spawn().with_context(|| format!("{} can't be started", program.display()))?);
        Ok(())
    }

    /// Its process and the children of it.
    ///
    /// # Errors
    /// If it has ended.
    pub fn processes(&self) -> anyhow::Result<Processes> {
        Processes::of(self.child.id())
    }

    /// The companion process that was started last.
    ///
    /// # Errors
    /// If there is none, or it has ended.
    pub fn companion(&self) -> anyhow::Result<Processes> {
        Processes::of(self.companions.last().context("the server has no companion process")?.id())
    }

    /// Stops it, and waits until it has ended.
    ///
    /// # Errors
    /// If it doesn't end in time.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end_companions();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        match wait_until(STOP_MAX, || self.child.try_wait().ok().flatten()) {
            Some(_) => Ok(()),
            None => bail!("process {} didn't end within {} s of SIGTERM", self.child.id(), STOP_MAX.as_secs()),
        }
    }
}

impl Server {
    fn end_companions(&mut self) {
        for mut child in self.companions.drain(..) {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            if wait_until(STOP_MAX, || child.try_wait().ok().flatten()).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Stops a server that an error has left running.
impl Drop for Server {
    fn drop(&mut self) {
        self.end_companions();
        if matches!(self.child.try_wait(), Ok(None)) {
            // TERM first: if killed, nginx would leave its workers behind.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            if wait_until(STOP_MAX, || self.child.try_wait().ok().flatten()).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// An address that was free when checked.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
