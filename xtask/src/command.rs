//! Other programs, run from the root of the workspace.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::stopwatch::Stopwatch;
use crate::{children, side_by_side};

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

/// The same with the variables that are set for it, for whoever is to type it.
pub fn typed_with_variables(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let set = variables.map(|(name, value)| format!("{}={} ", name.to_string_lossy(), value.to_string_lossy()));
    set.collect::<String>() + &typed(command)
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

/// A program to run beside others.
pub struct Job<'a> {
    /// The program.
    pub command: Command,
    /// What stands before each line of its standard output.
    pub prefix: String,
    /// Sees each of these lines too.
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

/// Runs all lanes at once, the jobs of each one after the other, passing on all that they print as it comes. No process that
/// they started outlives the last of them; the children that `spared` names are left alone. How each ended, and the processes
/// that they left behind, which were killed.
///
/// # Errors
/// If one can't be started, or its output can't be passed on.
pub fn stream<'a>(
    lanes: Vec<Vec<Job<'a>>>,
    spared: &children::Spared<'_>,
) -> anyhow::Result<(Vec<Vec<Ended>>, Vec<String>)> {
    std::thread::scope(|scope| {
        let run = |Job { mut command, prefix, line }: Job<'a>| {
            let (name, watch) = (typed(&command), Stopwatch::start());
            let child = command.stdout(Stdio::piped()).spawn();
            let mut child = child.with_context(|| format!("`{name}` can't be started"))?;
            let output = child.stdout.take().context("its output is piped")?;
            let passing = scope.spawn(move || pass_on(output, &prefix, line));
            let succeeded = child.wait()?.success();
            anyhow::Ok((Ended { succeeded, took: watch.elapsed() }, passing))
        };
        let places = vec![(); lanes.len()];
        let ended = side_by_side::share(&places, lanes, |(), lane| lane.into_iter().map(run).collect::<Vec<_>>());
        // These may hold outputs open: only without them do they end.
        let left_behind = children::end_orphans(spared);
        let read = |job: anyhow::Result<(Ended, ScopedJoinHandle<'_, std::io::Result<()>>)>| {
            let (ended, passing) = job?;
            passing.join().map_err(|_| anyhow!("reading its output panicked"))??;
            anyhow::Ok(ended)
        };
        let read = ended.into_iter().map(|lane| lane.into_iter().map(read).collect());
        Ok((read.collect::<anyhow::Result<_>>()?, left_behind))
    })
}

fn pass_on(output: impl Read, prefix: &str, mut line: impl FnMut(&str)) -> std::io::Result<()> {
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
