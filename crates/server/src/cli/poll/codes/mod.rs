//! `throng poll codes`.

mod create;
mod list;
mod revoke;

use std::io::Write;

use clap::Subcommand;

use crate::config::Config;
use crate::polls::PollService;

/// Subcommands of `throng poll codes`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CodesCommand {
    Create(create::Create),
    List(list::List),
    Revoke(revoke::Revoke),
}

impl CodesCommand {
    pub(super) async fn run(self, polls: PollService<'_>, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(polls, config, out).await,
            Self::List(command) => command.run(polls, out).await,
            Self::Revoke(command) => command.run(polls, out).await,
        }
    }
}
