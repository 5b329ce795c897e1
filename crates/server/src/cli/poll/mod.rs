//! `throng poll`: managing polls from the shell.
//!
//! These commands access the database directly, with or without a running server; a server checks several times per second
//! whether a poll has changed.

mod advice;
mod codes;
mod create;
mod display;
mod export;
mod list;
mod recount;
mod results;
mod show;
mod window;

use clap::Subcommand;
use throng_domain::clock::Clock;
use throng_domain::store::Store;

use super::console::print;
use super::database;
use super::flags::Flags;
use crate::polls::PollService;

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
    /// Make, list and revoke invitation codes, for a poll with the policy `code`
    #[command(subcommand)]
    Codes(codes::CodesCommand),
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
                PollCommand::Create(command) => command.run(polls, clock, &config, out).await,
                PollCommand::List(command) => command.run(store, clock, out).await,
                PollCommand::Show(command) => command.run(polls, clock, out).await,
                PollCommand::Open(command) => command.run(polls, clock, out).await,
                PollCommand::Close(command) => command.run(polls, clock, out).await,
                PollCommand::Results(command) => command.run(polls, store, clock, &config, out).await,
                PollCommand::Export(command) => command.run(polls, store, &config, out).await,
                PollCommand::Recount(command) => command.run(polls, out).await,
                PollCommand::Codes(command) => command.run(polls, &config, out).await,
            }
        })
    })
}
