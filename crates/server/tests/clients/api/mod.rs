//! The API as outside programs read its description: linters, a fuzzer that sends what the description allows and what it doesn't,
//! clients made by generators, and the examples in the docs. `cargo xtask test` installs these programs in `target`, and
//! `cargo xtask api-tools` nothing but them.

mod examples;
mod generated;
mod lint;
mod schemathesis;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use throng_testkit::{DataDir, ThrongProcess};

/// A server with the poll `song` and an administrator's token.
struct Served {
    server: ThrongProcess,
    token: String,
    data_dir: DataDir,
}

impl Served {
    fn start() -> Self {
        let data_dir = DataDir::new();
        assert_run(&mut data_dir.command(&["schema", "create"]));
        let create = "poll create song --title Song? --option Alpha --option Beta --opens-at now";
        assert_run(&mut data_dir.command(&create.split(' ').collect::<Vec<_>>()));
        let made = assert_run(&mut data_dir.command(&["token", "create", "tests", "--role", "admin"]));
        let token = made.lines().find(|line| line.starts_with("throng_")).expect("a token is printed").to_owned();
        Self { server: data_dir.start(), token, data_dir }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The description of this server's API, in a file.
    fn description(&self) -> PathBuf {
        let file = self.data_dir.path("openapi.json");
        std::fs::write(&file, &self.server.get("/openapi.json").body).unwrap();
        file
    }
}

/// A directory in which `cargo xtask` has installed tools.
fn tools(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target")
        .join(kind)
        .join("api")
        .canonicalize()
        .unwrap_or_else(|error| panic!("the tools for {kind} can't be found ({error}); run `cargo xtask api-tools`"))
}

/// One of the tools made for Python.
fn python_tool(name: &str) -> Command {
    let packages = tools("python");
    // One tool runs another.
    let own = [packages.join("bin")].into_iter();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(own.chain(std::env::split_paths(&others))).unwrap();
    let mut command = Command::new(packages.join("bin").join(name));
    command.env("PATH", path).env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command
}

/// One of the tools made for Node.js.
fn node_tool(name: &str) -> Command {
    Command::new(tools("node").join("node_modules/.bin").join(name))
}

/// What a program prints; fails if it does.
#[track_caller]
fn assert_run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (printed, said) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{printed}\n{said}");
    printed.into_owned()
}
