//! Runs other programs from the root of the workspace.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::stopwatch::Stopwatch;
use crate::{children, parallel};

/// The workspace's directory.
pub fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_owned()
}

/// A command that runs `program` in the workspace's directory.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The command line as it would be typed, preceded by the environment variables that are set for it.
pub fn command_line_with_variables(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let set = variables.map(|(name, value)| format!("{}={} ", name.to_string_lossy(), value.to_string_lossy()));
    set.collect::<String>() + &command_line(command)
}

/// A command that runs the cargo that started this process, with these arguments, separated by whitespace.
pub fn cargo(arguments: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program(cargo);
    command.args(arguments.split_whitespace());
    command
}

/// The command line as it would be typed.
pub fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let arguments = std::iter::once(program).chain(command.get_args());
    arguments.map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A program to run in parallel with others.
pub struct Job<'a> {
    /// The program.
    pub command: Command,
    /// Printed before each line of its standard output.
    pub prefix: String,
    /// Called with each of these lines, without the prefix.
    pub line: Box<dyn FnMut(&str) + Send + 'a>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// How long it ran.
    pub took: Duration,
}

/// Runs all lanes in parallel and the jobs of each lane in order, and forwards what they print as it arrives. No process that
/// they started outlives the last job; the children that `exempt` names are left alone. Returns how each job ended, and the
/// processes that were left behind and killed.
///
/// # Errors
/// If a program can't be started, or its output can't be forwarded.
pub fn stream<'a>(
    lanes: Vec<Vec<Job<'a>>>,
    exempt: &children::Exempt<'_>,
) -> anyhow::Result<(Vec<Vec<Ended>>, Vec<String>)> {
    std::thread::scope(|scope| {
        let run = |Job { mut command, prefix, line }: Job<'a>| {
            let (name, watch) = (command_line(&command), Stopwatch::start());
            let child = command.stdout(Stdio::piped()).spawn();
            let mut child = child.with_context(|| format!("`{name}` can't be started"))?;
            let output = child.stdout.take().context("standard output isn't piped")?;
            let forwarding = scope.spawn(move || forward(output, &prefix, line));
            let succeeded = child.wait()?.success();
            anyhow::Ok((Ended { succeeded, took: watch.elapsed() }, forwarding))
        };
        let slots = vec![(); lanes.len()];
        let ended = parallel::run_parallel(&slots, lanes, |(), lane| lane.into_iter().map(run).collect::<Vec<_>>());
        // Orphans may hold output pipes open, so the outputs end only without them.
        let left_behind = children::end_orphans(exempt);
        let read = |job: anyhow::Result<(Ended, ScopedJoinHandle<'_, std::io::Result<()>>)>| {
            let (ended, forwarding) = job?;
            forwarding.join().map_err(|_| anyhow!("reading its output panicked"))??;
            anyhow::Ok(ended)
        };
        let read = ended.into_iter().map(|lane| lane.into_iter().map(read).collect());
        Ok((read.collect::<anyhow::Result<_>>()?, left_behind))
    })
}

fn forward(output: impl Read, prefix: &str, mut line: impl FnMut(&str)) -> std::io::Result<()> {
    let mut output = BufReader::new(output);
    let mut bytes = prefix.as_bytes().to_vec();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&bytes)?;
        stdout.flush()?;
        line(String::from_utf8_lossy(&bytes[prefix.len()..]).trim_end());
        bytes.truncate(prefix.len());
    }
    Ok(())
}

/// Runs a command with this process's standard output and standard error.
///
/// # Errors
/// If it can't be started or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command_line(command);
    let status = command.status().with_context(|| format!("`{name}` can't be started"))?;
    if !status.success() {
        bail!("`{name}` failed ({status}); see its output above");
    }
    Ok(())
}

/// Runs a command and returns its standard output, trimmed.
///
/// # Errors
/// If it can't be started or fails; the error contains its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command_line(command);
    let output = command.output().with_context(|| format!("`{name}` can't be started"))?;
    if !output.status.success() {
        bail!("`{name}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The metadata of the workspace from cargo, without dependencies.
///
/// # Errors
/// If cargo fails.
pub fn metadata() -> anyhow::Result<Value> {
    let json = output(&mut cargo("metadata --no-deps --format-version 1"))?;
    serde_json::from_str(&json).context("`cargo metadata` didn't print JSON")
}
