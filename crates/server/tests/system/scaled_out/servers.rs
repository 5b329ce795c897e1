//! The servers that tests kill and freeze. Whoever started them starts them again.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::process::{Pid, Signal, kill_process};
use throng_testkit::variable;

/// Held by tests for as long as they use the servers that all share; alone by those that harm one.
static SERVERS: RwLock<()> = RwLock::new(());

/// For a test to which nothing may happen but what it does itself.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    SERVERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that harms a server.
pub fn exclusive() -> RwLockWriteGuard<'static, ()> {
    SERVERS.write().unwrap_or_else(PoisonError::into_inner)
}

/// A server, by what its variables begin with.
#[derive(Clone, Copy, Debug)]
pub struct ExternalServer(pub &'static str);

pub const RABBITMQ: ExternalServer = ExternalServer("THRONG_TEST_RABBITMQ");
pub const MEMCACHED: ExternalServer = ExternalServer("THRONG_TEST_MEMCACHED");
pub const MYSQL: ExternalServer = ExternalServer("THRONG_TEST_MYSQL");
pub const POSTGRES: ExternalServer = ExternalServer("THRONG_TEST_POSTGRES");

impl ExternalServer {
    /// `kill -9`. It is started again at once.
    pub fn kill(self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
    }

    /// Stops it in its tracks until what is returned is dropped.
    pub fn freeze(self) -> Frozen {
        let pid = self.pid();
        kill_process(pid, Signal::STOP).unwrap();
        Frozen(pid)
    }

    /// Has its administrator do something; what is said to that.
    #[track_caller]
    pub fn control(self, arguments: &[&str]) -> String {
        let control = variable(&format!("{}_CONTROL", self.0));
        let output = Command::new(control).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the system knows of its process.
    pub fn process(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid().as_raw_nonzero()))
    }

    fn pid(self) -> Pid {
        let file = variable(&format!("{}_PID_FILE", self.0));
        let pid = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
    }
}

/// A server that was stopped.
pub struct Frozen(Pid);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}
