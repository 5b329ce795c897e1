//! A real `throng`, in a process of its own, and the ways to end it.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::environment::{directory_on_disk, throng_under_test};
use crate::http::{Answer, Connection};
use crate::wait::{WAIT_MAX, eventually};

/// The lines of a process's log that may wait to be read here.
const LINES_MAX: usize = 100_000;

/// The lines that are shown of a process where a test fails.
const LINES_SHOWN: usize = 40;

/// What a server, and a worker, log before their address.
const SERVING: [&str; 2] = ["serving on http://", "health and metrics on http://"];

/// A directory with a database, in which one server after the other runs.
pub struct DataDir {
    directory: TempDir,
}

impl DataDir {
    /// A new one, on a real disk.
    pub fn new() -> Self {
        Self { directory: directory_on_disk() }
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path("throng.db")
    }

    /// Starts a server and waits until it serves.
    pub fn start(&self) -> ThrongProcess {
        self.spawn().once_it_serves()
    }

    /// Starts a server and waits for nothing.
    pub fn spawn(&self) -> ThrongProcess {
        ThrongProcess::spawn(self.command(&[]))
    }

    /// A `throng` with these arguments, about to be run on the database.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = throng(self.directory.path());
        command.env("DATABASE_URL", format!("sqlite://{}", self.database().display())).args(arguments);
        command
    }
}

/// A `throng` that is run in `directory`, with an address of its own and nothing of this process's environment.
pub fn throng(directory: &Path) -> Command {
    let mut command = Command::new(throng_under_test());
    command.env_clear().envs([("LISTEN", "127.0.0.1:0"), ("WORKER_LISTEN", "127.0.0.1:0"), ("NO_COLOR", "1")]);
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A server's process; killed when dropped.
pub struct ThrongProcess {
    child: Child,
    lines: Lines,
    /// Where it serves.
    pub address: SocketAddr,
}

impl ThrongProcess {
    /// Starts it and waits for nothing. Its log is read, so that it never waits for that.
    pub fn spawn(command: Command) -> Self {
        let mut child = spawn_piped(command);
        let lines = Lines::of(&mut child);
        Self { child, lines, address: NOWHERE }
    }

    /// The same where only the caller reads its log.
    pub fn spawn_unread(command: Command) -> (Self, BufReader<ChildStderr>) {
        let mut child = spawn_piped(command);
        let log = BufReader::new(child.stderr.take().expect("the child was started with a pipe"));
        (Self { child, lines: Lines::none(), address: NOWHERE }, log)
    }

    /// Waits until it serves.
    pub fn once_it_serves(self) -> Self {
        self.serves_or_ends().unwrap_or_else(|said| panic!("throng didn't start:\n{said}"))
    }

    /// Waits until it serves, or has ended: then what it said.
    pub fn serves_or_ends(mut self) -> Result<Self, String> {
        let address = self.lines.find_map(|line| {
            let (_, address) = SERVING.iter().find_map(|words| line.split_once(words))?;
            Some(address.split(|c: char| c.is_whitespace() || c == ',' || c == '"').next()?.parse().unwrap())
        });
        self.address = address.ok_or_else(|| self.lines.said.join("\n"))?;
        Ok(self)
    }

    /// The same once it has logged `words`, after which its address follows.
    #[track_caller]
    pub fn once_logged(mut self, words: &str) -> Self {
        let line = self.says(words);
        let (_, address) = line.split_once(words).expect("the line has these words");
        // In production a quotation mark follows.
        self.address = address.split('"').next().unwrap_or_default().trim().parse().unwrap();
        self
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and its end.
    pub fn kill(mut self) {
        self.kill_now();
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it logs these words; the line.
    #[track_caller]
    pub fn says(&mut self, words: &str) -> String {
        let said = self.lines.find_map(|line| line.contains(words).then(|| line.to_owned()));
        said.unwrap_or_else(|| panic!("it ended without saying {words:?}:\n{}", self.lines.said.join("\n")))
    }

    /// Waits until it logs these words; the lines from where it was read to last, up to that one.
    #[track_caller]
    pub fn says_until(&mut self, words: &str) -> Vec<String> {
        let read = self.lines.said.len();
        self.says(words);
        self.lines.said[read..].to_vec()
    }

    /// Waits until it logs these words, unless it did before.
    #[track_caller]
    pub fn has_said(&mut self, words: &str) {
        if !self.lines.said.iter().any(|line| line.contains(words)) {
            self.says(words);
        }
    }

    /// Waits until it has ended by itself; how, and all that it said.
    pub fn ended(&mut self) -> (ExitStatus, String) {
        self.lines.find_map(|_| None::<()>);
        (self.child.wait().unwrap(), self.lines.said.join("\n"))
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.ended().0.code()
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> Answer {
        Connection::open(self.address).request("GET", path, &[], b"")
    }

    /// The answer to a POST of JSON.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        Connection::open(self.address).request("POST", path, &[("content-type", "application/json")], body)
    }

    /// Asks for `path` until the answer is as it should be; that answer.
    #[track_caller]
    pub fn get_until(&self, path: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        eventually(path, || Some(self.get(path)).filter(|answer| is_right(answer)))
    }

    fn kill_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for ThrongProcess {
    /// Shows the end of its log where a test fails.
    #[allow(clippy::print_stdout, reason = "the test harness shows it")]
    fn drop(&mut self) {
        self.kill_now();
        if std::thread::panicking() {
            let lines = self.lines.rest();
            println!("the last lines of process {}:\n{}", self.child.id(), lines.join("\n"));
        }
    }
}

/// Before it is known where a process serves.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn spawn_piped(mut command: Command) -> Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    child.unwrap_or_else(|error| panic!("{command:?} can't be run: {error}"))
}

/// What a process says on its standard error, line by line.
pub struct Lines {
    coming: Receiver<String>,
    /// What was read so far.
    pub said: Vec<String>,
}

impl Lines {
    /// Those of a child whose standard error is a pipe.
    pub fn of(child: &mut Child) -> Self {
        let (sender, coming) = sync_channel(LINES_MAX);
        let stderr = BufReader::new(child.stderr.take().expect("the child was started with a pipe"));
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { coming, said: Vec::new() }
    }

    /// None, of a process that is read elsewhere.
    fn none() -> Self {
        Self { coming: channel().1, said: Vec::new() }
    }

    /// The last lines, of a process that has ended.
    fn rest(&mut self) -> &[String] {
        // A process of its own may still have the pipe.
        while let Ok(line) = self.coming.recv_timeout(Duration::from_millis(100)) {
            self.said.push(line);
        }
        &self.said[self.said.len().saturating_sub(LINES_SHOWN)..]
    }

    /// Reads until `wanted` finds something in a line; `None` if the process ends before.
    pub fn find_map<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> Option<T> {
        loop {
            match self.coming.recv_timeout(WAIT_MAX) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.said.push(line);
                    if found.is_some() {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("nothing happened for {WAIT_MAX:?} after:\n{}", self.said.join("\n"))
                }
            }
        }
    }
}
