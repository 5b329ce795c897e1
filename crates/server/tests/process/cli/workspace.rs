//! A directory to run `throng` in, and a server that runs there.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{Answer, Connection, eventually};

/// How long a test waits for something to happen before it fails.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// An empty directory in which commands are run.
pub struct Workspace {
    pub directory: TempDir,
}

impl Workspace {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A directory with a database and, in it, the demo poll.
    pub fn with_demo() -> Self {
        let workspace = Self::new();
        workspace.run("schema create").succeeds();
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The command with these arguments, about to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        command.args(args).env_clear().current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Runs `throng` with these arguments, separated by spaces.
    pub fn run(&self, args: &str) -> Ran {
        self.run_args(&args.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `throng` with exactly these arguments.
    pub fn run_args(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }

    /// Makes a poll with the options A and B; `more` are further arguments.
    pub fn create(&self, slug: &str, more: &str) -> Ran {
        let mut args = vec!["poll", "create", slug, "--title", "Best song?", "--option", "A", "--option", "B"];
        args.extend(more.split_whitespace());
        self.run_args(&args)
    }

    /// Starts `throng serve` on a port of its own.
    pub fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// The command that serves on a port of its own, about to be run with so many open files at the most.
    pub fn command_with_files(&self, files: usize) -> Command {
        let mut command = Command::new("sh");
        let script = r#"ulimit -n "$1" && exec "$2" serve --listen 127.0.0.1:0"#;
        command.args(["-c", script, "sh", &files.to_string(), env!("CARGO_BIN_EXE_throng")]);
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Starts `throng serve` on a port of its own, with this environment.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Serving {
        self.start(&["--listen", "127.0.0.1:0"], environment).once_logged("serving on http://")
    }

    /// Starts `throng` with these arguments and this environment, and waits for nothing.
    pub fn start(&self, args: &[&str], environment: &[(&str, &str)]) -> Serving {
        let mut command = self.command(args);
        command.envs(environment.iter().copied());
        Self::start_reading(command)
    }

    /// Starts `throng serve` with so many open files at the most.
    pub fn serve_with_files(&self, files: usize) -> Serving {
        Self::start_reading(self.command_with_files(files)).once_logged("serving on http://")
    }

    fn start_reading(command: Command) -> Serving {
        let (mut serving, mut lines) = Self::start_unread(command);
        let (logs, log) = mpsc::channel();
        serving.log = log;
        // Reads all of it, so that the server never waits for somebody to read its log.
        std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                let _ = logs.send(line);
            }
        });
        serving
    }

    /// Starts `throng serve`, and reads its log only until it serves.
    pub fn serve_unread(&self, environment: &[(&str, &str)]) -> (Serving, Lines<BufReader<ChildStderr>>) {
        let mut command = self.command(&["--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        let (mut serving, mut lines) = Self::start_unread(command);
        let serves = |line: &String| line.contains("serving on http://");
        let line = lines.by_ref().map(Result::unwrap).find(serves).expect("it serves");
        let (_, address) = line.split_once("http://").unwrap();
        // In production a quotation mark follows.
        serving.address = address.split('"').next().unwrap().trim().parse().unwrap();
        (serving, lines)
    }

    fn start_unread(mut command: Command) -> (Serving, Lines<BufReader<ChildStderr>>) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (_, log) = mpsc::channel();
        (Serving { address: SocketAddr::from(([0; 4], 0)), log, child }, lines)
    }
}

/// A server that runs; killed when dropped.
pub struct Serving {
    pub address: SocketAddr,
    log: mpsc::Receiver<String>,
    child: Child,
}

impl Serving {
    /// The same once it has logged `words`, after which its address follows.
    #[track_caller]
    pub fn once_logged(mut self, words: &str) -> Self {
        let line = self.logged(words);
        let (_, address) = line.split_once(words).unwrap();
        // In production a quotation mark follows.
        self.address = address.split('"').next().unwrap().trim().parse().unwrap();
        self
    }

    /// The next line of the log that has these words; waits for it.
    #[track_caller]
    pub fn logged(&self, words: &str) -> String {
        self.logged_until(words).pop().unwrap()
    }

    /// The next lines of the log, up to one that has these words; waits for it.
    #[track_caller]
    pub fn logged_until(&self, words: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(words)) {
            lines.push(self.log.recv_timeout(WAIT_MAX).unwrap_or_else(|_| panic!("`{words}` is not logged")));
        }
        lines
    }

    /// Asks the server to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; its exit code.
    #[track_caller]
    pub fn ended(&mut self) -> Option<i32> {
        eventually("it ends", || self.child.try_wait().unwrap()).code()
    }

    pub fn get(&self, path: &str) -> Answer {
        Connection::open(self.address).request("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        Connection::open(self.address).request("POST", path, &[("content-type", "application/json")], body)
    }

    /// Asks for `path` until the answer is as it should be.
    #[track_caller]
    pub fn get_until(&self, path: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + WAIT_MAX;
        let mut connection = Connection::open(self.address);
        loop {
            let answer = connection.request("GET", path, &[], b"");
            if is_right(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} stays so: {answer:?}");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of a command.
pub struct Ran(pub Output);

impl Ran {
    /// Its output; fails unless it did what it was asked, without a word of complaint.
    #[track_caller]
    pub fn succeeds(&self) -> String {
        assert!(self.0.status.success(), "{}", self.complaint());
        assert_eq!(self.complaint(), "");
        self.output()
    }

    /// Its output as JSON; fails as [`Self::succeeds`] does.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.succeeds()).unwrap()
    }

    /// Fails unless it ended with `code`, saying each of `told` on standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, told: &[&str]) {
        let complaint = self.complaint();
        assert_eq!(self.0.status.code(), Some(code), "{complaint}");
        assert!(!complaint.contains("panicked"), "{complaint}");
        for part in told {
            assert!(complaint.contains(part), "`{part}` is missing in: {complaint}");
        }
    }

    pub fn output(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn complaint(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}
