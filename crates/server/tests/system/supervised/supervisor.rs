//! A supervisord of the test's own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use throng_testkit::eventually;

/// What the file in `deploy/` leaves to the host's own configuration.
const HOST: &str = "\
[unix_http_server]
file=%(here)s/supervisor.sock
[supervisord]
nodaemon=true
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock
";

/// How many workers the file in `deploy/` has.
pub const WORKERS: usize = 20;

/// A supervisord that runs; with it end those that it supervises.
pub struct Supervisor {
    child: Child,
    file: PathBuf,
    /// The first digits of the workers' ports, before the two of their number.
    ports: u16,
}

impl Supervisor {
    /// Starts the workers in `directory`, whose `.env.local` has their settings.
    pub fn start(directory: &Path) -> Self {
        let ports = free_ports();
        let file = directory.join("supervisord.conf");
        std::fs::write(&file, HOST.to_owned() + &program(directory, ports)).unwrap();
        let mut command = Command::new("supervisord");
        command.arg("--configuration").arg(&file).env_clear().env("PATH", "/usr/bin:/bin");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask test`"));
        Self { child, file, ports }
    }

    /// The process id of a worker, once it runs.
    pub fn running(&self, number: usize) -> i32 {
        eventually("a worker runs", || {
            let status = self.status();
            let line = status.lines().find(|line| line.contains(&format!("throng-worker_{number:02} ")))?;
            let (_, pid) = line.split_once("RUNNING")?.1.split_once("pid ")?;
            pid.split(',').next()?.parse().ok()
        })
    }

    /// Where a worker's health and metrics are.
    pub fn address(&self, number: usize) -> SocketAddr {
        let port = self.ports * 100 + u16::try_from(number).unwrap();
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Stops it as the system does when it goes down; gives what it logged.
    pub fn stop(mut self) -> String {
        self.end();
        std::fs::read_to_string(self.file.with_file_name("supervisord.log")).unwrap()
    }

    fn status(&self) -> String {
        let mut command = Command::new("supervisorctl");
        let output = command.arg("--configuration").arg(&self.file).arg("status").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn end(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

/// The program of `deploy/supervisor.conf`, with nothing changed but its places, its ports and its user.
fn program(directory: &Path, ports: u16) -> String {
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/supervisor.conf");
    let mut program = std::fs::read_to_string(deployed).unwrap();
    let (directory, binary) = (directory.display(), env!("CARGO_BIN_EXE_throng"));
    for (deployed, here) in [
        ("/usr/local/bin/throng", binary.to_owned()),
        ("127.0.0.1:81%", format!("127.0.0.1:{ports}%")),
        ("directory=/var/lib/throng\n", format!("directory={directory}\n")),
        ("user=throng\n", String::new()),
        ("/var/log/throng/", format!("{directory}/")),
    ] {
        assert_eq!(program.matches(deployed).count(), 1, "{deployed}");
        program = program.replace(deployed, &here);
    }
    program
}

/// The first digits of ports that were free a moment ago, one for each worker.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let count = u16::try_from(WORKERS).unwrap();
    eventually("ports are free", || {
        let ports = rand::random_range(110..300);
        (0..count).all(|number| is_free(ports * 100 + number)).then_some(ports)
    })
}
