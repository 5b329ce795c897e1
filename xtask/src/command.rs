//! Other programs, run from the root of the workspace.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::children;

/// The workspace's directory.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// `program`, to be run from the workspace's directory.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this, with these arguments, by words.
pub fn cargo(arguments: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program(cargo);
    command.args(arguments.split_whitespace());
    command
}

/// How the command would be typed.
pub fn typed(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The processes that it left behind, which were killed.
    pub left_behind: Vec<String>,
}

/// Runs it, passing on all that it prints as it comes; `line` sees each line of its output too. No process that it
/// started outlives it; the children that `spared` names are left alone.
///
/// # Errors
/// If it can't be started, or its output can't be passed on.
pub fn stream(
    command: &mut Command,
    spared: &children::Spared<'_>,
    line: impl FnMut(&str) + Send,
) -> anyhow::Result<Ended> {
    let name = typed(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{name}` can't be started"))?;
    let output = child.stdout.take().context("its output is piped")?;
    std::thread::scope(|scope| {
        let passing = scope.spawn(move || pass_on(output, line));
        let succeeded = child.wait()?.success();
        // These may hold the output open: only without them does it end.
        let left_behind = children::end_orphans(spared);
        passing.join().map_err(|_| anyhow!("reading the output of `{name}` panicked"))??;
        Ok(Ended { succeeded, left_behind })
    })
}

fn pass_on(output: impl Read, mut line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&bytes)?;
        stdout.flush()?;
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(())
}

/// Runs it and fails if it does; what it prints goes where ours goes.
///
/// # Errors
/// If it can't be started or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = typed(command);
    let status = command.status().with_context(|| format!("`{name}` can't be started"))?;
    if !status.success() {
        bail!("`{name}` failed ({status}); its own words are above");
    }
    Ok(())
}

/// Runs it and returns what it printed.
///
/// # Errors
/// If it can't be started or fails; its complaint is in the error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = typed(command);
    let output = command.output().with_context(|| format!("`{name}` can't be started"))?;
    if !output.status.success() {
        bail!("`{name}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What cargo knows about the workspace, its dependencies left out.
///
/// # Errors
/// If cargo fails.
pub fn metadata() -> anyhow::Result<Value> {
    let json = output(&mut cargo("metadata --no-deps --format-version 1"))?;
    serde_json::from_str(&json).context("`cargo metadata` printed no JSON")
}
