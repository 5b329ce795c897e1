//! Test binaries, run without cargo: tests that are started one by one, beside other builds, would wait for cargo's locks.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::command;

/// A test binary that is built.
#[derive(Clone, Debug)]
pub struct TestBinary {
    executable: PathBuf,
    /// The directory of its package, where cargo runs it.
    package: PathBuf,
    /// The server's binary; `None` if its package has no other binary.
    throng: Option<PathBuf>,
}

impl TestBinary {
    /// Builds the test binary of this name, and what it runs.
    ///
    /// # Errors
    /// If it can't be built.
    pub fn build(name: &str) -> anyhow::Result<Self> {
        let mut build = command::cargo("test --quiet --workspace --no-run --message-format json-render-diagnostics");
        let output = build.args(["--test", name]).stderr(Stdio::inherit()).output().context("cargo can't be run")?;
        ensure!(output.status.success(), "the test binary `{name}` can't be built: see cargo's output above");
        let messages = String::from_utf8(output.stdout)?;
        let artifacts: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let built = |kind: &str, name: &str| {
            let is_it = |artifact: &&Value| {
                let target = &artifact["target"];
                target["name"] == name && target["kind"].as_array().is_some_and(|kinds| kinds.contains(&kind.into()))
            };
            let path = |of: &Value| of.as_str().map(PathBuf::from);
            artifacts.iter().find(is_it).and_then(|it| Some((path(&it["executable"])?, path(&it["manifest_path"])?)))
        };
        let (executable, manifest) = built("test", name).with_context(|| format!("cargo built no test `{name}`"))?;
        let package = manifest.parent().context("a manifest is in a directory")?.to_owned();
        Ok(Self { executable, package, throng: built("bin", "throng").map(|(throng, _)| throng) })
    }

    /// The command that runs its tests one after the other and shows their output; arguments that are added choose among them.
    pub fn command(&self) -> Command {
        let mut tests = Command::new(&self.executable);
        tests.current_dir(&self.package).args(["--nocapture", "--test-threads=1"]);
        if let Some(throng) = &self.throng {
            tests.env("CARGO_BIN_EXE_throng", throng);
        }
        tests
    }
}
