//! Standard output and standard error of commands.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::log;

/// How long a command waits for a message to be written to standard error.
const STDERR_WAIT_MAX: Duration = Duration::from_secs(1);

/// Output format of a command.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Calls `write` with standard output, and flushes it.
pub(super) fn print(write: impl FnOnce(&mut dyn io::Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = write(&mut out);
    // Output written before an error is still part of the command's output.
    let flushed = out.flush();
    written.and(flushed.map_err(Into::into))
}

/// Writes `value` as one line of JSON.
pub(super) fn write_json(out: &mut dyn io::Write, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string(value)?)?)
}

/// Writes to standard error a message that isn't part of a command's output. Returns after [`STDERR_WAIT_MAX`] even if
/// standard error isn't read.
pub(super) fn write_message(message: &str) {
    let message = message.to_owned();
    #[expect(clippy::print_stderr, reason = "messages for the user of the command line")]
    log::within(STDERR_WAIT_MAX, move || eprintln!("throng: {message}"));
}
