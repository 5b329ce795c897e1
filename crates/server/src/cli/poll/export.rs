//! `throng poll export`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::Store;

use super::advice::advise;
use crate::cli::output::Output;
use crate::config::Config;
use crate::polls::{EXPORT_PAGE_BALLOTS, Export as Rows, ExportFormat, PollService, RankingFormat, rankings_text};

/// Export every ballot of a poll
///
/// One line per ballot: its id, when it was accepted, the ids of the options chosen (in CSV as `1 3`, a ranking as `3>1`, scores as
/// `1=5 3=0`), and what
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
  throng poll export song --format jsonl | gzip > song.jsonl.gz
  throng poll export host --format blt --output host.blt";

/// Format of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Table with a header
    Csv,
    /// One JSON object per line
    Jsonl,
    /// Of a ranked poll: each ranking that counts, with its number of ballots, for OpaVote and others
    Blt,
    /// The same for PrefLib's tools
    Soi,
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
        let format = match self.format {
            Format::Csv if !self.json => ExportFormat::Csv,
            Format::Csv | Format::Jsonl => ExportFormat::Ndjson,
            Format::Blt => return self.write_rankings(&poll, store, config, out, RankingFormat::Blt).await,
            Format::Soi => return self.write_rankings(&poll, store, config, out, RankingFormat::Soi).await,
        };
        let total = store.tallies(poll.id).await?.voters;
        let export = Rows::new(&poll, format, self.voters);
        match self.output.filter(|path| path != Path::new("-")) {
            Some(path) => {
                let output = Output::create(&path, self.force, config);
                write_file(store, &poll, export, output, &progress(total, true))
                    .await
                    .with_context(|| format!("nothing was exported to {}", path.display()))
            }
            None => write_ballots(store, &poll, export, out, &progress(total, !io::stdout().is_terminal())).await,
        }
    }
}

impl Export {
    async fn write_rankings(
        self,
        poll: &Poll,
        store: &dyn Store,
        config: &Config,
        out: &mut dyn Write,
        format: RankingFormat,
    ) -> anyhow::Result<()> {
        let text = rankings_text(store, poll, format).await?;
        let Some(text) = text else {
            bail!(
                "the ballots of `{}` are no rankings, which {} is for; its kind is {}",
                poll.slug,
                format.extension(),
                poll.kind.as_str()
            );
        };
        match self.output.filter(|path| path != Path::new("-")) {
            Some(path) => {
                let output = Output::create(&path, self.force, config)?;
                output.partial.as_file().write_all(text.as_bytes())?;
                output.finish()
            }
            None => Ok(out.write_all(text.as_bytes())?),
        }
    }
}

async fn write_file(
    store: &dyn Store,
    poll: &Poll,
    export: Rows<'_>,
    output: anyhow::Result<Output>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let output = output?;
    let mut out = BufWriter::new(output.partial.as_file());
    write_ballots(store, poll, export, &mut out, progress).await?;
    out.flush()?;
    drop(out);
    output.finish()
}

async fn write_ballots(
    store: &dyn Store,
    poll: &Poll,
    export: Rows<'_>,
    out: &mut dyn Write,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    out.write_all(export.header().as_bytes())?;
    let mut after = None;
    loop {
        let page = store.ballots(poll.id, after, EXPORT_PAGE_BALLOTS).await?;
        out.write_all(export.lines(&page.ballots).as_bytes())?;
        progress.inc(page.ballots.len().try_into().unwrap_or(u64::MAX));
        match page.next {
            Some(_) => after = page.next,
            None => break,
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// A progress bar on standard error. Not to be shown if the ballots are written to the same terminal.
fn progress(total: u64, is_shown: bool) -> ProgressBar {
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} ballots, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(total), target);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
