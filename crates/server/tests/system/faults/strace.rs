//! `strace` at a running server: to see its system calls, to fail them, to kill it at one.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use throng_testkit::Lines;

/// A tracer at work. It lets go of the server when it is dropped.
pub struct Strace {
    child: Child,
    lines: Lines,
}

impl Strace {
    /// Traces every thread of process `pid` with these arguments, the calls seen going to the file `log`; returns once
    /// it does.
    pub fn attach(pid: u32, log: &Path, arguments: &[&str]) -> Self {
        let spawned = Command::new("strace")
            .args(["-f", "-p", &pid.to_string(), "-o"])
            .arg(log)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let missing = "the fault tests need strace; install it: apt-get install strace";
        let mut child = spawned.unwrap_or_else(|error| panic!("{missing} ({error})"));
        let mut lines = Lines::of(&mut child);
        let attached = lines.find_map(|line| line.contains("attached").then_some(()));
        let mut strace = Self { child, lines };
        if attached.is_none() {
            strace.child.wait().unwrap();
            panic!("strace couldn't attach; may this user trace its processes?\n{}", strace.lines.said.join("\n"));
        }
        strace
    }

    /// Lets go, or sees the server's end; the log is complete then.
    pub fn end(mut self) {
        self.end_now();
    }

    fn end_now(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // Not by force: it has to undo what it did to the server. It may have ended by itself just now.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        self.child.wait().unwrap();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end_now();
    }
}
