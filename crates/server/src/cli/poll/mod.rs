//! `throng poll`: managing polls from the shell.
//!
//! These commands access the database directly, with or without a running server; a server checks several times per second
//! whether a poll has changed.

mod advice;
mod create;
mod export;
mod list;
mod recount;
mod results;
mod show;
mod window;

use std::io::Write;

use clap::Subcommand;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::{Poll, PollState};
use throng_domain::store::Store;

use self::advice::advise;
use super::{Flags, Json, database, print, write_json};
use crate::polls::PollService;
use crate::view::{PollView, rfc3339_text};

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
            let polls = PollService::new(store, clock, &config);
            match command {
                PollCommand::Create(command) => command.run(polls, clock, out).await,
                PollCommand::List(command) => command.run(store, clock, out).await,
                PollCommand::Show(command) => command.run(polls, clock, out).await,
                PollCommand::Open(command) => command.run(polls, clock, out).await,
                PollCommand::Close(command) => command.run(polls, clock, out).await,
                PollCommand::Results(command) => command.run(polls, store, clock, &config, out).await,
                PollCommand::Export(command) => command.run(polls, store, &config, out).await,
                PollCommand::Recount(command) => command.run(polls, out).await,
            }
        })
    })
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

/// Writes the poll after a change.
fn write_poll(poll: &Poll, now: Timestamp, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, &PollView::new(poll, now));
    }
    writeln!(out, "The poll `{}` is {}.", poll.slug, state_text(poll, now))?;
    if poll.state(now) == PollState::Draft {
        writeln!(out, "To open it: throng poll open {}", poll.slug)?;
    }
    Ok(())
}
