//! Clients that send ballots as other people's programs do: each over one connection while it lasts.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::webdriver::{Driver, Setup};

/// A ballot as it is sent: its body, and its id if it has one.
pub type Sent = (&'static str, Option<String>);

/// A program that sends ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Curl,
    Php,
    Java,
    Wget,
    Chromium,
}

impl Client {
    pub const ALL: [Self; 5] = [Self::Curl, Self::Php, Self::Java, Self::Wget, Self::Chromium];

    /// What it is called in the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Php => "PHP's curl",
            Self::Java => "Java's `HttpURLConnection`",
            Self::Wget => "wget",
            Self::Chromium => "Chromium's `fetch`",
        }
    }

    /// Sends all ballots, one after the other, and waits for each response or its loss.
    pub fn send(self, server: SocketAddr, ballots: &[Sent]) {
        let url = format!("http://{server}/api/submit");
        let line = |(body, id): &Sent| format!("{body} {}\n", id.as_deref().unwrap_or(""));
        match self {
            Self::Curl => {
                let mut command = Command::new("curl");
                command.args(["--config", "-"]);
                let transfers: Vec<_> = ballots.iter().map(|ballot| transfer(&url, ballot)).collect();
                // It ends with the last transfer's failure.
                run(command, &transfers.join("next\n"), |_| true);
            }
            Self::Php => {
                let mut command = Command::new("php");
                command.arg(program("vote.php")).arg(url);
                run(command, &ballots.iter().map(line).collect::<String>(), |code| code == 0);
            }
            Self::Java => {
                let mut command = Command::new("java");
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]).arg(program("Vote.java")).arg(url);
                run(command, &ballots.iter().map(line).collect::<String>(), |code| code == 0);
            }
            Self::Wget => wget(&url, ballots),
            Self::Chromium => chromium(server, ballots),
        }
    }
}

/// Runs a program with that for its standard input; fails unless its exit code is right.
fn run(mut command: Command, input: &str, is_right: impl Fn(i32) -> bool) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask test`"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_some_and(is_right), "{command:?}: {status}");
}

/// One of curl's transfers, as its configuration says it.
fn transfer(url: &str, (body, id): &Sent) -> String {
    let header = id.as_ref().map(|id| format!("header = \"Idempotency-Key: \\\"{id}\\\"\"\n")).unwrap_or_default();
    format!("silent\nmax-time = 20\ndata = \"{body}\"\n{header}url = {url}\n")
}

/// wget sends one body to all addresses that it is given, so it runs once for each body. It is told not to wait before it tries
/// again, which it does up to 19 times by default.
fn wget(url: &str, ballots: &[Sent]) {
    let mut bodies: Vec<_> = ballots.iter().map(|(body, _)| *body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    for body in bodies {
        let of_body = ballots.iter().filter(|(its, _)| *its == body);
        let address = |id: &Option<String>| match id {
            Some(id) => format!("{url}?ballot_id={id}\n"),
            None => format!("{url}\n"),
        };
        let addresses: String = of_body.map(|(_, id)| address(id)).collect();
        let mut command = Command::new("wget");
        command.args(["--quiet", "--waitretry=0", "--output-document=/dev/null", "--input-file=-"]);
        command.arg(format!("--post-data={body}"));
        // 4 and 8: a response didn't come, or was an error.
        run(command, &addresses, |code| [0, 4, 8].contains(&code));
    }
}

/// A page's script that sends the ballots.
const FETCH: &str = r#"
    const [ballots, done] = arguments;
    (async () => {
        for (const [body, id] of ballots) {
            const headers = id === null ? {} : { "Idempotency-Key": `"${id}"` };
            try {
                const response = await fetch("/api/submit", { method: "POST", body, headers });
                await response.arrayBuffer();
            } catch { /* lost */ }
        }
    })().then(() => done());
"#;

fn chromium(server: SocketAddr, ballots: &[Sent]) {
    let driver = Driver::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = driver.open_browser(Setup::new(true)).await;
        client.goto(&format!("http://{server}/livez")).await.unwrap();
        // A script has 30 seconds.
        for some in ballots.chunks(100) {
            client.execute_async(FETCH, vec![json!(some)]).await.unwrap();
        }
        client.close().await.unwrap();
    });
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/proxies/programs").join(name)
}
