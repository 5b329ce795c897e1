//! `throng poll`: managing polls from the shell.
//!
//! These commands access the database directly, with or without a running server; a server checks several times per second
//! whether a poll has changed.

mod advice;
mod codes;
mod counting;
mod create;
mod display;
mod edit;
mod export;
mod import;
mod list;
mod log;
mod pass;
mod record;
mod recount;
mod results;
mod show;
mod tabulated;
mod void;
mod window;

pub(super) use self::advice::advise;
pub(super) use self::create::one_of;
use clap::{Args, Subcommand};
use throng_domain::clock::Clock;
use throng_domain::store::Store;

use super::author::AuthorFlags;
use super::console::print;
use super::database;
use super::flags::Flags;
use crate::polls::PollService;

/// `throng poll`.
#[derive(Debug, Args)]
pub(super) struct PollArgs {
    #[command(flatten)]
    author: AuthorFlags,
    #[command(subcommand)]
    command: PollCommand,
}

/// Subcommands of `throng poll`.
#[derive(Debug, Subcommand)]
enum PollCommand {
    Create(create::Create),
    Edit(edit::Edit),
    List(list::List),
    Show(show::Show),
    Open(window::Open),
    Close(window::Close),
    Archive(edit::Archive),
    Delete(edit::Delete),
    Log(log::Log),
    Results(results::Results),
    Export(export::Export),
    Import(import::Import),
    Record(record::Record),
    Verify(record::Verify),
    Recount(recount::Recount),
    Pass(pass::Pass),
    Void(void::Void),
    Unvoid(void::Unvoid),
    /// Make, list and revoke invitation codes, for a poll with the policy `code`
    #[command(subcommand)]
    Codes(codes::CodesCommand),
}

pub(super) fn run(PollArgs { author, command }: PollArgs, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    if let PollCommand::Verify(command) = command {
        return print(|out| command.run(&config, out));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            let database = database::open_current(&config).await?;
            let clock = database::clock(&config, &*database).await?;
            let (store, clock): (&dyn Store, &dyn Clock) = (&*database, &*clock);
            let author = author.author();
            let polls = PollService::new(store, clock, &config, &author);
            match command {
                PollCommand::Create(command) => command.run(polls, clock, &config, out).await,
                PollCommand::Edit(command) => command.run(polls, clock, out).await,
                PollCommand::List(command) => command.run(store, clock, out).await,
                PollCommand::Show(command) => command.run(polls, clock, out).await,
                PollCommand::Open(command) => command.run(polls, clock, out).await,
                PollCommand::Close(command) => command.run(polls, clock, out).await,
                PollCommand::Archive(command) => command.run(polls, clock, out).await,
                PollCommand::Delete(command) => command.run(polls, clock, out).await,
                PollCommand::Log(command) => command.run(polls, out).await,
                PollCommand::Results(command) => command.run(polls, store, clock, &config, out).await,
                PollCommand::Export(command) => command.run(polls, store, &config, out).await,
                PollCommand::Import(command) => command.run(polls, out).await,
                PollCommand::Record(command) => command.run(polls, &config, out).await,
                PollCommand::Verify(command) => command.run(&config, out),
                PollCommand::Pass(command) => command.run(polls, &config, out).await,
                PollCommand::Recount(command) => command.run(polls, out).await,
                PollCommand::Void(command) => command.run(polls, clock, out).await,
                PollCommand::Unvoid(command) => command.run(polls, out).await,
                PollCommand::Codes(command) => command.run(polls, &config, out).await,
            }
        })
    })
}
