//! One running server: waits until it is ready, restarts it if it dies, and ends it and its children by process id.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::certificate::CERTIFICATE;
use super::instance::{self, Instance, ServerSpec};
use crate::children;
use crate::stopwatch::{Stopwatch, wait_checking_rarely, wait_until};

/// How long a server may take until it is ready; several start at once, possibly during a build.
const START_MAX: Duration = Duration::from_secs(300);

/// How long a server may take to shut down.
const END_MAX: Duration = Duration::from_secs(30);

/// How long its children may take to end after it.
const DESCENDANTS_MAX: Duration = Duration::from_secs(5);

/// The file with the process id of the running server.
const PID_FILE: &str = "process";

/// Initializes the data of a server before it is started.
///
/// # Errors
/// If that fails.
pub fn prepare(spec: &ServerSpec, instance: &Instance) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    (spec.prepare)(instance)?;
    eprintln!("{}: data initialized in {:.1} s", spec.name, watch.elapsed().as_secs_f64());
    Ok(())
}

/// A server. It is restarted if it dies, since tests kill it, and stopped when this is dropped.
#[derive(Debug)]
pub struct Service {
    spec: &'static ServerSpec,
    instance: Arc<Instance>,
    watch: Stopwatch,
    state: Arc<State>,
    supervisor: Option<JoinHandle<()>>,
    companion: Option<Child>,
}

/// The state that a server shares with its supervisor thread.
#[derive(Debug, Default)]
struct State {
    /// The process; `None` from its end to its next start.
    pid: Mutex<Option<Pid>>,
    /// Whether it is restarted when it ends: from when it is ready until it is asked to stop.
    restarts: AtomicBool,
    has_ended: AtomicBool,
}

impl Service {
    /// Starts a server whose data is initialized. It isn't ready yet when this returns.
    ///
    /// Must be called from a thread that lives as long as the server is needed.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(spec: &'static ServerSpec, instance: Instance) -> anyhow::Result<Self> {
        let watch = Stopwatch::start();
        let start = |mut command: Command| command.spawn().with_context(|| format!("{} can't be started", spec.name));
        let companion = spec.companion.map(|command| start(command(&instance)?)).transpose()?;
        if companion.is_some() {
            let port = instance.ports[1];
            wait_until(START_MAX, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
                .with_context(|| format!("{}: nothing listens on port {port}:\n{}", spec.name, instance.log_tail()))?;
        }
        let (instance, state) = (Arc::new(instance), Arc::new(State::default()));
        let shared = (Arc::clone(&instance), Arc::clone(&state));
        let (started, first) = mpsc::sync_channel(1);
        // The system ends a server when the thread that started it ends, so one thread does all restarts.
        let supervisor = thread::spawn(move || supervise(spec, &shared.0, &shared.1, &started));
        let pid = first.recv().context("its supervisor thread panicked")??;
        eprintln!("{}: process {pid}, port {}", spec.name, instance.ports[0]);
        Ok(Self { spec, instance, watch, state, supervisor: Some(supervisor), companion })
    }

    /// Waits until it accepts clients.
    ///
    /// # Errors
    /// If it ends instead, or takes too long; the error contains the end of its log.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        let name = self.spec.name;
        let ready = wait_checking_rarely(START_MAX, || match (self.spec.accepts_clients)(self.instance.address()) {
            Ok(true) => Some(true),
            Ok(false) | Err(_) => self.state.has_ended.load(Ordering::Acquire).then_some(false),
        });
        match ready {
            Some(true) => {
                self.state.restarts.store(true, Ordering::Release);
                eprintln!("{name}: ready after {:.1} s", self.watch.elapsed().as_secs_f64());
                Ok(())
            }
            Some(false) => {
                bail!("{name} ended instead of accepting clients; the end of its log:\n{}", self.instance.log_tail())
            }
            None => {
                bail!(
                    "{name} isn't ready within {} s; the end of its log:\n{}",
                    START_MAX.as_secs(),
                    self.instance.log_tail()
                )
            }
        }
    }

    /// The environment variables that describe it to the tests: its URL, the file with its process id, its certificate, and its
    /// administration script.
    pub fn variables(&self) -> Vec<(String, String)> {
        let name = |what: &str| self.spec.variable.replace("_URL", what);
        let mut variables =
            vec![(self.spec.variable.to_owned(), self.url()), (name("_PID_FILE"), self.instance.path(PID_FILE))];
        if self.instance.directory.join(CERTIFICATE).exists() {
            variables.push((name("_CA"), self.instance.path(CERTIFICATE)));
        }
        if self.instance.directory.join(instance::CONTROL).exists() {
            variables.push((name("_CONTROL"), self.instance.path(instance::CONTROL)));
        }
        variables
    }

    /// The length of its log.
    pub fn log_bytes(&self) -> u64 {
        self.instance.log_bytes()
    }

    /// The first errors in its log from this byte on, each with its name.
    pub fn errors_since(&self, start: u64) -> impl Iterator<Item = String> {
        let name = self.spec.name;
        self.instance.errors_since(start).into_iter().map(move |line| format!("{name} logged: {line}"))
    }

    /// The environment variable with its URL for the tests.
    pub fn variable(&self) -> &'static str {
        self.spec.variable
    }

    /// Its current process; `None` from its end to its next start.
    pub fn pid(&self) -> Option<Pid> {
        *self.state.pid()
    }

    /// Its current process and its companion.
    pub fn pids(&self) -> Vec<Pid> {
        self.companion.iter().map(Pid::from_child).chain(self.pid()).collect()
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> String {
        self.instance.url()
    }

    /// Sends the stop signal without waiting for the end.
    pub fn request_stop(&self) {
        self.state.restarts.store(false, Ordering::Release);
        if let Some(pid) = *self.state.pid() {
            let _ = kill_process(pid, self.spec.stop_signal.signal());
            // A failed test may have left it suspended.
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Stops it, and kills it if it doesn't end in time. Its companion is left alone.
    fn end(&mut self) {
        let descendants = self.state.pid().map_or_else(Vec::new, children::descendants);
        self.request_stop();
        if wait_until(END_MAX, || self.state.has_ended.load(Ordering::Acquire).then_some(())).is_none() {
            eprintln!("{}: didn't end in time and is killed", self.spec.name);
            if let Some(pid) = *self.state.pid() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
        children::end(&descendants, DESCENDANTS_MAX);
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

impl State {
    fn pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a server, and restarts it as long as `restarts` is set. Sends the result of the first start to `started`.
fn supervise(spec: &ServerSpec, instance: &Instance, state: &State, started: &SyncSender<anyhow::Result<u32>>) {
    loop {
        match spawn(spec, instance, state) {
            Ok(mut child) => {
                let _ = started.try_send(Ok(child.id()));
                // Until it is reaped, its process id isn't reused.
                let _ = waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
                *state.pid() = None;
                let _ = child.wait();
            }
            Err(error) => {
                eprintln!("{}: {error:#}", spec.name);
                let _ = started.try_send(Err(error));
                break;
            }
        }
        if !state.restarts.load(Ordering::Acquire) {
            break;
        }
        eprintln!("{}: ended; restarting", spec.name);
    }
    state.has_ended.store(true, Ordering::Release);
}

fn spawn(spec: &ServerSpec, instance: &Instance, state: &State) -> anyhow::Result<Child> {
    let child = (spec.command)(instance)?.spawn().with_context(|| format!("{} can't be started", spec.name))?;
    instance.write(PID_FILE, &child.id().to_string())?;
    *state.pid() = Some(Pid::from_child(&child));
    Ok(child)
}
