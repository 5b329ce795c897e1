//! Clients that send ballots as other people's programs do: curl, PHP and Java, each over one connection while it lasts.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A ballot as it is sent: its body, and its id if it has one.
pub type Sent = (&'static str, Option<String>);

/// A program that sends ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Curl,
    Php,
    Java,
}

impl Client {
    pub const ALL: [Self; 3] = [Self::Curl, Self::Php, Self::Java];

    /// What it is called in the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Php => "PHP's curl",
            Self::Java => "Java's `HttpURLConnection`",
        }
    }

    /// Sends all ballots, one after the other, and waits for each response or its loss.
    pub fn send(self, server: SocketAddr, ballots: &[Sent]) {
        let url = format!("http://{server}/api/submit");
        let mut command = match self {
            Self::Curl => curl(&url, ballots),
            Self::Php => {
                let mut command = Command::new("php");
                command.arg(program("vote.php")).arg(url);
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]).arg(program("Vote.java")).arg(url);
                command
            }
        };
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask test`"));
        let lines: String =
            ballots.iter().map(|(body, id)| format!("{body} {}\n", id.as_deref().unwrap_or(""))).collect();
        // curl has them in its arguments, and may be gone.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        let status = child.wait().unwrap();
        // curl ends with the last transfer's failure.
        assert!(self == Self::Curl || status.success(), "{command:?}: {status}");
    }
}

/// All ballots in one run, which uses the connection again.
fn curl(url: &str, ballots: &[Sent]) -> Command {
    let mut command = Command::new("curl");
    for (number, (body, id)) in ballots.iter().enumerate() {
        if number > 0 {
            command.arg("--next");
        }
        command.args(["--silent", "--max-time", "20", "--data", body]);
        if let Some(id) = id {
            command.args(["--header", &format!("Idempotency-Key: \"{id}\"")]);
        }
        command.arg(url);
    }
    command
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxies/programs").join(name)
}
