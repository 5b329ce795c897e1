//! The program that runs the other ones.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// `recount.py` in a process; one for all elections of a test.
pub struct Recount {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Recount {
    pub fn start() -> Self {
        let packages = std::env::var("THRONG_TEST_RECOUNT");
        let packages =
            packages.expect("THRONG_TEST_RECOUNT is not set; run `cargo xtask test`, which installs what this needs");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tabulation/recount.py");
        let mut python = Command::new("python3");
        python.arg(script).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 can be run");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, stdin, stdout }
    }

    /// Writes a line and reads one.
    pub fn ask<Response: DeserializeOwned>(&mut self, asked: &impl Serialize) -> Response {
        let mut line = serde_json::to_string(asked).expect("it is JSON");
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).expect("it reads; its error is above");
        line.clear();
        self.stdout.read_line(&mut line).expect("it writes UTF-8");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}; its error is above"))
    }

    /// Ends the process.
    pub fn finish(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        assert!(child.wait().expect("it ends").success());
    }
}
