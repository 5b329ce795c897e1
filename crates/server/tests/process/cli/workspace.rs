//! A directory to run `throng` in, and a server that runs there.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::PathBuf;
use std::process::{ChildStderr, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use throng_testkit::{ThrongProcess, built_throng};

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
        let mut command = Command::new(built_throng());
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
    pub fn serve(&self) -> ThrongProcess {
        self.serve_with(&[])
    }

    /// The command that serves on a port of its own, about to be run with so many open files at the most.
    pub fn command_with_files(&self, files: usize) -> Command {
        let mut command = Command::new("sh");
        let script = r#"ulimit -n "$1" && exec "$2" serve --listen 127.0.0.1:0"#;
        command.args(["-c", script, "sh", &files.to_string()]).arg(built_throng());
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Starts `throng serve` on a port of its own, with this environment.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> ThrongProcess {
        self.start(&["--listen", "127.0.0.1:0"], environment).once_logged("serving on http://")
    }

    /// Starts `throng` with these arguments and this environment, and waits for nothing.
    pub fn start(&self, args: &[&str], environment: &[(&str, &str)]) -> ThrongProcess {
        let mut command = self.command(args);
        command.envs(environment.iter().copied());
        ThrongProcess::spawn(command)
    }

    /// Starts `throng serve` with so many open files at the most.
    pub fn serve_with_files(&self, files: usize) -> ThrongProcess {
        ThrongProcess::spawn(self.command_with_files(files)).once_logged("serving on http://")
    }

    /// Starts `throng serve`, and reads its log only until it serves.
    pub fn serve_unread(&self, environment: &[(&str, &str)]) -> (ThrongProcess, Lines<BufReader<ChildStderr>>) {
        let mut command = self.command(&["--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        let (mut server, log) = ThrongProcess::spawn_unread(command);
        let mut lines = log.lines();
        let serves = |line: &String| line.contains("serving on http://");
        let line = lines.by_ref().map(Result::unwrap).find(serves).expect("it serves");
        let (_, address) = line.split_once("http://").unwrap();
        // In production a quotation mark follows.
        server.address = address.split('"').next().unwrap().trim().parse().unwrap();
        (server, lines)
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
