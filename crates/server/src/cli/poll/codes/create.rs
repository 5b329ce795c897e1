//! `throng poll codes create`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use throng_domain::code::{BatchName, Code};
use throng_domain::poll::Slug;
use tokio::time::Instant;

use super::super::advice::advise;
use crate::app::with_causes;
use crate::cli::console::{Json, write_json};
use crate::cli::output::Output;
use crate::config::Config;
use crate::polls::{CODES_MADE_MAX, NewBatch, PollService};
use crate::voting::PolicyKey;

/// Make a batch of codes, one voter for each
///
/// Writes one code per line, in a random order. They can't be printed again: only their hashes are stored, which are made with
/// APP_SECRET, so this needs the same one as the servers. A code is written once it is stored. If this is interrupted, revoke the
/// batch and make another one.
///
/// With --json: one object per line, such as {"code":"ABCD-EFGH-JKMN-PQRS"}.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Create {
    /// Slug of the poll
    slug: Slug,
    /// Number of codes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CODES_MADE_MAX)))]
    count: u32,
    /// Name of the batch, by which it can be revoked: a-z, 0-9 and - [default: batch- and its number]
    #[arg(long, value_name = "NAME")]
    batch: Option<BatchName>,
    /// File to write to, which appears only when it is complete, readable by its owner alone; - is standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll codes create board --count 1200 --batch members-2026 --output codes.csv
  throng poll codes create board --count 50 | lp";

/// A code as a line of JSON Lines.
#[derive(Serialize)]
struct Line {
    code: String,
}

impl Create {
    pub(super) async fn run(self, polls: PollService<'_>, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        let path = self.output.as_deref().filter(|path| *path != Path::new("-"));
        // Before a batch is begun that can't be written.
        if let Some(path) = path.filter(|path| path.exists()) {
            let path = path.display();
            anyhow::bail!(
                "no codes were made for {path}: it exists already, and codes can't be printed again; choose another name"
            );
        }
        let output = path.map(|path| {
            Output::create(path, false, config).with_context(|| format!("no codes were made for {}", path.display()))
        });
        let (output, key) = (output.transpose()?, config.policy_key()?);
        let begun = polls.begin_batch(&self.slug, self.batch, self.count, PolicyKey(&key), rand::random);
        let new = begun.await.map_err(advise)?;
        let progress = progress(self.count, output.is_some() || !io::stdout().is_terminal());
        let made = match output {
            Some(output) => write_file(polls, &new, self.json, output, &progress).await,
            None => write_codes(polls, &new, self.json, out, &progress).await,
        };
        progress.finish_and_clear();
        // Not the error itself: one of a reader that has left would end the command as a success.
        made.map_err(|error| {
            let (slug, batch) = (&self.slug, &new.batch.name);
            anyhow::anyhow!(
                "the batch `{batch}` of `{slug}` is incomplete; revoke it, and make another one (throng poll codes revoke {slug} \
                 {batch}): {}",
                with_causes(&error)
            )
        })
    }
}

async fn write_file(
    polls: PollService<'_>,
    new: &NewBatch,
    json: Json,
    output: Output,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(output.partial.as_file());
    store_and_write(polls, new, json, &mut out, progress).await?;
    drop(out);
    output.finish()?;
    Ok(polls.finish_batch(new).await?)
}

async fn write_codes(
    polls: PollService<'_>,
    new: &NewBatch,
    json: Json,
    out: &mut dyn Write,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    store_and_write(polls, new, json, out, progress).await?;
    Ok(polls.finish_batch(new).await?)
}

/// Writes each part once it is stored.
async fn store_and_write(
    polls: PollService<'_>,
    new: &NewBatch,
    json: Json,
    out: &mut dyn Write,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    for part in new.parts() {
        let began = Instant::now();
        polls.store_part(new, part).await?;
        let took = began.elapsed();
        for (_, code) in part {
            write_code(out, *code, json)?;
        }
        out.flush()?;
        progress.inc(part.len().try_into().unwrap_or(u64::MAX));
        // A file has one writer at a time: the ballots of a crowd need theirs.
        tokio::time::sleep(took).await;
    }
    Ok(())
}

fn write_code(out: &mut dyn Write, code: Code, json: Json) -> anyhow::Result<()> {
    if json.json { write_json(out, &Line { code: code.to_string() }) } else { Ok(writeln!(out, "{code}")?) }
}

/// A progress bar on standard error. Not to be shown if the codes are written to the same terminal.
fn progress(count: u32, is_shown: bool) -> ProgressBar {
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} codes, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(count.into()), target);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
