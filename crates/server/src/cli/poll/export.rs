//! `throng poll export`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::Store;

use super::find;
use crate::cli::output::Output;
use crate::cli::write_json;
use crate::config::Config;
use crate::view::rfc3339_text;

/// The ballots read at once: the memory that an export needs, however many there are.
const PAGE_BALLOTS: usize = 10_000;

/// Write out every ballot of a poll
///
/// One line a ballot: its id, when it was accepted, and the ids of the options chosen (separated by spaces in CSV). A
/// ballot that is recorded meanwhile may be in it or not: close the poll first for an export that has all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Export {
    /// The poll
    slug: Slug,
    /// How a line is written
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write to this file, which appears only once it is whole; - is standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there already
    #[arg(long, requires = "output")]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  throng poll export song --output song.csv
  throng poll export song --format jsonl | gzip > song.jsonl.gz";

/// How a ballot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, with a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl Export {
    pub(super) async fn run(self, store: &dyn Store, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        let poll = find(store, &self.slug).await?;
        let format = if self.json { Format::Jsonl } else { self.format };
        let total = store.tallies(poll.id).await?.voters;
        match self.output.filter(|path| path != Path::new("-")) {
            Some(path) => {
                let output = Output::create(&path, self.force, config);
                write_file(store, &poll, format, output, &progress(total, true))
                    .await
                    .with_context(|| format!("nothing was exported to {}", path.display()))
            }
            None => write_ballots(store, &poll, format, out, &progress(total, !io::stdout().is_terminal())).await,
        }
    }
}

async fn write_file(
    store: &dyn Store,
    poll: &Poll,
    format: Format,
    output: anyhow::Result<Output>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let output = output?;
    let mut out = BufWriter::new(output.partial.as_file());
    write_ballots(store, poll, format, &mut out, progress).await?;
    out.flush()?;
    drop(out);
    output.finish()
}

async fn write_ballots(
    store: &dyn Store,
    poll: &Poll,
    format: Format,
    out: &mut dyn Write,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    if format == Format::Csv {
        writeln!(out, "ballot_id,accepted_at,choices")?;
    }
    let mut after = None;
    loop {
        let page = store.ballots(poll.id, after, PAGE_BALLOTS).await?;
        for ballot in &page {
            match format {
                Format::Csv => write_csv(out, ballot)?,
                Format::Jsonl => write_json(out, &Line::from(ballot))?,
            }
        }
        progress.inc(page.len().try_into().unwrap_or(u64::MAX));
        match page.last() {
            Some(last) if page.len() == PAGE_BALLOTS => after = Some(last.key),
            Some(_) | None => break,
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// A ballot, as JSON Lines show it.
#[derive(Serialize)]
struct Line<'a> {
    ballot_id: BallotId,
    accepted_at: String,
    choices: &'a Choices,
}

impl<'a> From<&'a Ballot> for Line<'a> {
    fn from(ballot: &'a Ballot) -> Self {
        Self { ballot_id: ballot.id, accepted_at: rfc3339_text(ballot.accepted_at), choices: &ballot.choices }
    }
}

fn write_csv(out: &mut dyn Write, ballot: &Ballot) -> io::Result<()> {
    let choices: Vec<_> = ballot.choices.as_slice().iter().map(ToString::to_string).collect();
    let cells = [ballot.id.to_string(), rfc3339_text(ballot.accepted_at), choices.join(" ")];
    writeln!(out, "{}", cells.map(|cell| csv_cell(&cell)).join(","))
}

/// A cell of CSV (RFC 4180) that a spreadsheet takes for text, never for a formula: one that begins like a formula
/// gets a ' in front, as OWASP's page on CSV injection has it.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A bar on standard error, for somebody who looks at a terminal with nothing else on it.
fn progress(total: u64, wanted: bool) -> ProgressBar {
    let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} ballots, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(total), target);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for (text, cell) in [
            ("1 3", "1 3"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=1,\"2\"", "\"'=1,\"\"2\"\"\""),
            ("a,b", "\"a,b\""),
            ("a\nb", "\"a\nb\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
    }
}
