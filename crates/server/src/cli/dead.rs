//! `throng dead`: the messages that no worker could read.

use std::io::Write;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use throng_backends::queue;
use throng_backends::queue::{DeadLetter, OpenedLetter, SCAN_MAX, Selection};
use throng_domain::ballot::{Ballot, BallotId};
use throng_domain::clock::Timestamp;

use super::console::{Json, print, write_json};
use super::counted::counted;
use super::database::retry_unavailable;
use super::flags::Flags;
use super::table::{Side, Table};
use crate::app::cant_use;
use crate::view::{ChoicesView, rfc3339_text};

/// Manage the messages that no worker could read
///
/// A worker sets only such a message aside, and logs it: it was forged, damaged in transit, or made with another APP_SECRET or
/// by a version of Throng that this worker doesn't know. These commands list them, and return them to the workers once the
/// cause is fixed.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum DeadCommand {
    /// List the messages, oldest first
    List(List),
    /// Show a message, with its ballots if this command can read them
    Show(Show),
    /// Return messages to the workers
    Replay(Chosen),
    /// Delete messages permanently
    Drop(Chosen),
}

const EXAMPLES: &str = "\
Examples:
  throng dead list
  throng dead show 5fd924625f6ab16a
  throng dead replay --all            after APP_SECRET was fixed, or workers were upgraded
  throng dead drop 5fd924625f6ab16a";

/// Arguments of `throng dead list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Maximum number of messages
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=SCAN_MAX as i64))]
    limit: u16,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `throng dead show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Id of the message, as listed
    id: String,
    #[command(flatten)]
    json: Json,
}

/// The messages that a command applies to.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Chosen {
    /// Ids of the messages
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All messages set aside so far
    #[arg(long)]
    all: bool,
}

/// A message, as `--json` prints it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    why: &'a str,
    set_aside_at: Option<String>,
    bytes: usize,
}

/// A message with its body and ballots, as `--json` prints it.
#[derive(Serialize)]
struct Opened<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    /// In hexadecimal digits.
    body: String,
    /// Why this command can't read it.
    unreadable: Option<String>,
    ballots: Vec<Read<'a>>,
}

/// A ballot in a message.
#[derive(Serialize)]
struct Read<'a> {
    poll: i64,
    ballot_id: BallotId,
    accepted_at: String,
    #[serde(flatten)]
    choices: ChoicesView<'a>,
}

/// Runs the command.
pub(super) fn run(command: DeadCommand, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let url = config.queue.as_ref().context("no queue is configured; set QUEUE_URL")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = config.message_key()?;
        let connect = async || {
            let connecting = queue::connect_dead_letters(url, &config.queue_prefix.0, key.clone());
            connecting.await.with_context(|| cant_use(url))
        };
        let letters = retry_unavailable(&config, url, connect).await?;
        match command {
            DeadCommand::List(List { limit, json }) => {
                let found = letters.list(limit.into()).await?;
                print(|out| write_list(&found, json, out))
            }
            DeadCommand::Show(Show { id, json }) => {
                let found = letters.show(&id).await?.with_context(|| not_found(&id))?;
                print(|out| write_opened(&found, json, out))
            }
            DeadCommand::Replay(chosen) => {
                let replayed = letters.replay(chosen.selection()).await?;
                chosen.report(replayed, "returned to the workers")
            }
            DeadCommand::Drop(chosen) => {
                let dropped = letters.drop(chosen.selection()).await?;
                chosen.report(dropped, "deleted")
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
            bail!("{done} {what}, {} requested: the others don't exist; see `throng dead list`", self.ids.len());
        }
        print(|out| Ok(writeln!(out, "{done} {what}")?))
    }
}

fn not_found(id: &str) -> String {
    format!("no message `{id}` is set aside; see `throng dead list`")
}

fn write_list(letters: &[DeadLetter], Json { json }: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return write_json(out, &letters.iter().map(Row::from).collect::<Vec<_>>());
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
        return write_json(out, &Opened { row: Row::from(letter), body: hex, unreadable, ballots });
    }
    writeln!(out, "id         {}", letter.id)?;
    writeln!(out, "why        {}", letter.why)?;
    writeln!(out, "set aside  {}", when(letter.set_aside_at).unwrap_or_else(|| "-".to_owned()))?;
    match ballots {
        Ok(ballots) => {
            writeln!(out, "ballots    {}: they can be read; `throng dead replay {}`", ballots.len(), letter.id)?;
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

impl<'a> From<&'a DeadLetter> for Row<'a> {
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
            choices: (&ballot.choices).into(),
        }
    }
}
