//! `throng poll export`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::policy::Policy;
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::Store;
use throng_domain::void::is_void;

use super::advice::advise;
use crate::cli::console::write_json;
use crate::cli::output::Output;
use crate::config::Config;
use crate::polls::PollService;
use crate::view::rfc3339_text;

/// Ballots read at once, which bounds an export's memory however many there are.
const PAGE_BALLOTS: usize = 10_000;

/// Export every ballot of a poll
///
/// One line per ballot: its id, when it was accepted, the ids of the options chosen (separated by spaces in CSV), and what
/// identified its voter. Where voters may change their ballots, a pseudonym of the voter follows: of each voter's ballots the
/// last one by acceptance, then id, counts, and one without options is a withdrawal. Where rules void ballots, the last column says
/// which are void and don't count. A ballot recorded during the export may be missing: close the poll first for a complete export.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Export {
    /// Slug of the poll
    slug: Slug,
    /// Format of a line
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Add a pseudonym of each ballot's voter, such as for `throng poll void --voter`: it shows which ballots are of one browser, network
    /// or user. Always there where voters may change their ballots
    #[arg(long)]
    voters: bool,
    /// File to write to, which appears only when it is complete; - is standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  throng poll export song --output song.csv
  throng poll export song --format jsonl | gzip > song.jsonl.gz";

/// Format of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Table with a header
    Csv,
    /// One JSON object per line
    Jsonl,
}

impl Export {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        store: &dyn Store,
        config: &Config,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = polls.find(&self.slug).await.map_err(advise)?;
        let format = if self.json { Format::Jsonl } else { self.format };
        let total = store.tallies(poll.id).await?.voters;
        let voters = (self.voters || poll.changeable) && poll.policy.identifies_voters();
        match self.output.filter(|path| path != Path::new("-")) {
            Some(path) => {
                let output = Output::create(&path, self.force, config);
                write_file(store, &poll, format, voters, output, &progress(total, true))
                    .await
                    .with_context(|| format!("nothing was exported to {}", path.display()))
            }
            None => {
                write_ballots(store, &poll, format, voters, out, &progress(total, !io::stdout().is_terminal())).await
            }
        }
    }
}

async fn write_file(
    store: &dyn Store,
    poll: &Poll,
    format: Format,
    voters: bool,
    output: anyhow::Result<Output>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let output = output?;
    let mut out = BufWriter::new(output.partial.as_file());
    write_ballots(store, poll, format, voters, &mut out, progress).await?;
    out.flush()?;
    drop(out);
    output.finish()
}

async fn write_ballots(
    store: &dyn Store,
    poll: &Poll,
    format: Format,
    voters: bool,
    out: &mut dyn Write,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    if format == Format::Csv {
        let voter = if voters { ",voter" } else { "" };
        let void = if has_voids(poll) { ",void" } else { "" };
        writeln!(out, "ballot_id,accepted_at,choices,policy{voter}{void}")?;
    }
    let mut after = None;
    loop {
        let page = store.ballots(poll.id, after, PAGE_BALLOTS).await?;
        for ballot in &page.ballots {
            match format {
                Format::Csv => write_csv(out, &Row::of(ballot, poll, voters))?,
                Format::Jsonl => write_json(out, &Row::of(ballot, poll, voters))?,
            }
        }
        progress.inc(page.ballots.len().try_into().unwrap_or(u64::MAX));
        match page.next {
            Some(_) => after = page.next,
            None => break,
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// A ballot as a line of JSON Lines.
#[derive(Serialize)]
struct Row<'a> {
    ballot_id: BallotId,
    accepted_at: String,
    choices: &'a Choices,
    policy: Policy,
    #[serde(skip_serializing_if = "Option::is_none")]
    voter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<bool>,
}

/// Whether ballots of the poll may be void.
fn has_voids(poll: &Poll) -> bool {
    poll.voids.iter().any(|void| !void.undone)
}

impl<'a> Row<'a> {
    fn of(ballot: &'a Ballot, poll: &Poll, voters: bool) -> Self {
        let is_void = || is_void(&poll.voids, ballot.key, ballot.accepted_at, &ballot.choices);
        let accepted_at = rfc3339_text(ballot.accepted_at);
        let voter = ballot.voter().filter(|_| voters).map(|voter| voter.to_string());
        Self {
            ballot_id: ballot.id,
            accepted_at,
            choices: &ballot.choices,
            policy: ballot.policy,
            voter,
            void: has_voids(poll).then(is_void),
        }
    }
}

fn write_csv(out: &mut dyn Write, row: &Row<'_>) -> io::Result<()> {
    let choices: Vec<_> = row.choices.as_slice().iter().map(ToString::to_string).collect();
    let cells = [&row.ballot_id.to_string(), &row.accepted_at, &choices.join(" "), row.policy.as_str()];
    let void = row.void.map(|void| if void { "void" } else { "" });
    let cells: Vec<_> = cells.into_iter().chain(row.voter.as_deref()).chain(void).map(csv_cell).collect();
    writeln!(out, "{}", cells.join(","))
}

/// A cell of CSV (RFC 4180) that a spreadsheet treats as text, never as a formula: one that begins like a formula gets a
/// leading ', as OWASP's page on CSV injection recommends.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A progress bar on standard error. Not to be shown if the ballots are written to the same terminal.
fn progress(total: u64, is_shown: bool) -> ProgressBar {
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
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
