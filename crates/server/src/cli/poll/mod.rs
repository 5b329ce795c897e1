//! `throng poll`: managing polls from the shell.
//!
//! These commands access the database directly, with or without a running server; a server checks several times per second
//! whether a poll has changed.

mod create;
mod export;
mod list;
mod recount;
mod results;
mod show;
mod window;

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::{Poll, PollState, Slug};
use throng_domain::store::Store;

use super::{Flags, database, print};
use crate::config::Config;
use crate::view::rfc3339_text;

/// Maximum polls listed in the error about one that doesn't exist.
const LISTED_MAX: usize = 10;

/// How long it takes until every server knows of a change, in milliseconds: a server checks four times per second, and its and
/// this command's estimates of the database's time are each off by up to half a round trip.
const HEARD_MS: i64 = 1_000;

/// Subcommands of `throng poll`.
#[derive(Debug, Subcommand)]
pub(super) enum PollCommand {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Open(window::Open),
    Close(window::Close),
    Results(results::Results),
    Export(export::Export),
    Recount(recount::Recount),
}

pub(super) fn run(command: PollCommand, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            let database = database::open_current(&config).await?;
            let clock = database::clock(&*database).await?;
            let (store, clock): (&dyn Store, &dyn Clock) = (&*database, &clock);
            let heard_ms = heard_ms(&config);
            match command {
                PollCommand::Create(command) => command.run(store, clock, out).await,
                PollCommand::List(command) => command.run(store, clock, out).await,
                PollCommand::Show(command) => command.run(store, clock, out).await,
                PollCommand::Open(command) => command.run(store, clock, heard_ms, out).await,
                PollCommand::Close(command) => command.run(store, clock, heard_ms, out).await,
                PollCommand::Results(command) => command.run(store, clock, &config, out).await,
                PollCommand::Export(command) => command.run(store, &config, out).await,
                PollCommand::Recount(command) => command.run(store, out).await,
            }
        })
    })
}

/// How long it takes until every node knows of a change, in milliseconds: 0 where the process that records judges each ballot
/// itself. A database that several servers may share doesn't show whether they accept ballots through a broker, so it counts
/// as if they did.
fn heard_ms(config: &Config) -> i64 {
    if config.queue.is_some() || config.database.is_shared() { HEARD_MS } else { 0 }
}

/// The poll with this slug; if there is none, an error that lists existing polls.
async fn find(store: &dyn Store, slug: &Slug) -> anyhow::Result<Poll> {
    if let Some(poll) = store.poll(slug).await? {
        return Ok(poll);
    }
    let polls = store.polls().await?;
    // The latest polls are those in use.
    let mut known = polls.iter().rev().take(LISTED_MAX).map(|poll| poll.slug.as_str()).collect::<Vec<_>>().join(", ");
    if polls.len() > LISTED_MAX {
        known.push_str(" and more, see `throng poll list`");
    }
    match polls.len() {
        0 => bail!("there is no poll `{slug}`, nor any other; make one with `throng poll create`"),
        1 => bail!("there is no poll `{slug}`; the only one is {known}"),
        _ => bail!("there is no poll `{slug}`; there are {known}"),
    }
}

/// The poll's state at `now`, as text for operators.
fn state_text(poll: &Poll, now: Timestamp) -> String {
    let opens = poll.opens_at.map_or_else(String::new, rfc3339_text);
    let closes = poll.closes_at.map_or_else(String::new, rfc3339_text);
    match (poll.state(now), poll.closes_at) {
        (PollState::Draft, _) => "a draft; it isn't open for voting yet".to_owned(),
        (PollState::Scheduled, None) => format!("scheduled; it opens at {opens}"),
        (PollState::Scheduled, Some(_)) => format!("scheduled; it opens at {opens} and closes at {closes}"),
        (PollState::Open, None) => format!("open since {opens}"),
        (PollState::Open, Some(_)) => format!("open since {opens}; it closes at {closes}"),
        (PollState::Closing, _) => format!("closed since {closes}; the last ballots may still be counted"),
        (PollState::Final, _) => format!("closed since {closes}; its result is final"),
    }
}

/// Writes the poll's state after a change.
fn write_changed(out: &mut dyn Write, poll: &Poll, now: Timestamp) -> anyhow::Result<()> {
    writeln!(out, "The poll `{}` is {}.", poll.slug, state_text(poll, now))?;
    if poll.state(now) == PollState::Draft {
        writeln!(out, "To open it: throng poll open {}", poll.slug)?;
    }
    Ok(())
}
