//! `throng dead`: the messages that no worker could read.

use std::io::Write;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use throng_backends::queue;
use throng_backends::queue::rabbitmq::{DeadLetter, OpenedLetter, SCAN_MAX, Selection};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::Timestamp;

use super::counted::counted;
use super::database::waiting;
use super::table::{Side, Table};
use super::{Flags, Json, print, write_json};
use crate::app::cant_use;
use crate::view::rfc3339_text;

/// The messages that no worker could read
///
/// A worker sets such a message aside, alone, and says so in its log: it was forged, damaged on its way, made under
/// another APP_SECRET, or by a version of Throng that this worker doesn't know. Here they can be looked at, and given to
/// the workers once more when the cause is mended.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum DeadCommand {
    /// List them, the oldest first
    List(List),
    /// Show one of them, with the ballots in it where this Throng can read it
    Show(Show),
    /// Give them to the workers once more
    Replay(Chosen),
    /// Throw them away, for good
    Drop(Chosen),
}

const EXAMPLES: &str = "\
Examples:
  throng dead list
  throng dead show 5fd924625f6ab16a
  throng dead replay --all            after APP_SECRET was mended, or workers brought up to date
  throng dead drop 5fd924625f6ab16a";

/// Which are listed.
#[derive(Debug, Args)]
pub(super) struct List {
    /// How many at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=SCAN_MAX as i64))]
    limit: u16,
    #[command(flatten)]
    json: Json,
}

/// Which is shown.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its id, as listed
    id: String,
    #[command(flatten)]
    json: Json,
}

/// Which are dealt with.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Chosen {
    /// Those with these ids
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that are there now
    #[arg(long)]
    all: bool,
}

/// A message, as `--json` shows it.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    why: &'a str,
    set_aside_at: Option<String>,
    bytes: usize,
}

/// A message with all there is, as `--json` shows it.
#[derive(Serialize)]
struct Opened<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// In hexadecimal digits.
    body: String,
    /// Why this Throng can't read it.
    unreadable: Option<String>,
    ballots: Vec<Read<'a>>,
}

/// A ballot in it.
#[derive(Serialize)]
struct Read<'a> {
    poll: i64,
    ballot_id: BallotId,
    accepted_at: String,
    choices: &'a Choices,
}

/// Runs the command.
pub(super) fn run(command: DeadCommand, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let url = config.queue.as_ref().context("there is no queue to look at; set QUEUE_URL")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = config.message_key()?;
        let connect = async || {
            let connecting = queue::connect_dead_letters(url, &config.queue_prefix.0, key.clone());
            connecting.await.with_context(|| cant_use(url))
        };
        let letters = waiting(&config, url, connect).await?;
        match command {
            DeadCommand::List(List { limit, json }) => {
                let found = letters.list(limit.into()).await?;
                print(|out| write_list(&found, json, out))
            }
            DeadCommand::Show(Show { id, json }) => {
                let found = letters.show(&id).await?.with_context(|| nothing_named(&id))?;
                print(|out| write_opened(&found, json, out))
            }
            DeadCommand::Replay(chosen) => {
                let replayed = letters.replay(chosen.selection()).await?;
                chosen.report(replayed, "given to the workers once more")
            }
            DeadCommand::Drop(chosen) => {
                let dropped = letters.drop(chosen.selection()).await?;
                chosen.report(dropped, "thrown away")
            }
        }
    })
}

impl Chosen {
    fn selection(&self) -> Selection<'_> {
        if self.all { Selection::All } else { Selection::Ids(&self.ids) }
    }

    fn report(&self, done: usize, what: &str) -> anyhow::Result<()> {
        if done < self.ids.len() {
            bail!("{done} {what}, {} asked for: the others aren't there; see `throng dead list`", self.ids.len());
        }
        print(|out| Ok(writeln!(out, "{done} {what}")?))
    }
}

fn nothing_named(id: &str) -> String {
    format!("no message `{id}` is set aside; `throng dead list` shows what is")
}

fn write_list(letters: &[DeadLetter], Json { json }: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return write_json(out, &letters.iter().map(Line::from).collect::<Vec<_>>());
    }
    if letters.is_empty() {
        return Ok(writeln!(out, "Nothing is set aside.")?);
    }
    let mut table = Table::new([Side::Left, Side::Left, Side::Right, Side::Left]);
    table.row(["ID", "SET ASIDE", "BYTES", "WHY"].map(str::to_owned));
    for letter in letters {
        let when = when(letter.set_aside_at).unwrap_or_else(|| "-".to_owned());
        table.row([letter.id.clone(), when, letter.bytes.to_string(), letter.why.clone()]);
    }
    Ok(table.write(out, "")?)
}

fn write_opened(opened: &OpenedLetter, Json { json }: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    let OpenedLetter { letter, body, ballots } = opened;
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    if json {
        let unreadable = ballots.as_ref().err().map(ToString::to_string);
        let ballots = ballots.iter().flatten().map(Read::from).collect();
        return write_json(out, &Opened { line: Line::from(letter), body: hex, unreadable, ballots });
    }
    writeln!(out, "id         {}", letter.id)?;
    writeln!(out, "why        {}", letter.why)?;
    writeln!(out, "set aside  {}", when(letter.set_aside_at).unwrap_or_else(|| "-".to_owned()))?;
    match ballots {
        Ok(ballots) => {
            writeln!(out, "ballots    {}: this throng can read it; `throng dead replay {}`", ballots.len(), letter.id)?;
            for ballot in ballots {
                let at = rfc3339_text(ballot.accepted_at);
                writeln!(out, "  {}  {at}  poll {}  {}", ballot.id, ballot.poll.0, ballot.choices)?;
            }
        }
        Err(why) => writeln!(out, "ballots    none can be read: {why}")?,
    }
    Ok(writeln!(out, "{}\n{hex}", counted(letter.bytes, "byte"))?)
}

fn when(set_aside_at: Option<Timestamp>) -> Option<String> {
    set_aside_at.map(rfc3339_text)
}

impl<'a> From<&'a DeadLetter> for Line<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        Self { id: &letter.id, why: &letter.why, set_aside_at: when(letter.set_aside_at), bytes: letter.bytes }
    }
}

impl<'a> From<&'a Ballot> for Read<'a> {
    fn from(ballot: &'a Ballot) -> Self {
        Self {
            poll: ballot.poll.0,
            ballot_id: ballot.id,
            accepted_at: rfc3339_text(ballot.accepted_at),
            choices: &ballot.choices,
        }
    }
}
