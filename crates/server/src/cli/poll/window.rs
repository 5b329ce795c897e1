//! `throng poll open` and `throng poll close`.

use std::io::Write;

use clap::Args;
use throng_domain::clock::Clock;
use throng_domain::poll::Slug;

use super::advice::advise;
use super::display::write_poll;
use crate::cli::console::Json;
use crate::polls::{PollService, TimeArg};

/// Open a poll, now or later
///
/// Opens a draft, or changes the opening time of a scheduled poll. A closed poll stays closed unless --again is given.
#[derive(Debug, Args)]
#[command(after_help = OPEN_EXAMPLES)]
pub(in crate::cli) struct Open {
    /// Slug of the poll
    slug: Slug,
    /// Opening time: `now`, a time such as 2026-07-01T20:00:00Z or 2026-07-01T20:00[Europe/Paris], or a delay from now such as
    /// +15m
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, default_value = "now")]
    at: TimeArg,
    /// Closing time: a time, or a delay after the opening such as +2h [default: unchanged]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    closes_at: Option<TimeArg>,
    /// Let a closed poll accept ballots again from now on, in addition to those it has
    #[arg(long, conflicts_with = "at")]
    again: bool,
    #[command(flatten)]
    json: Json,
}

const OPEN_EXAMPLES: &str = "\
Examples:
  throng poll open song
  throng poll open song --closes-at +2h
  throng poll open song --at 2026-07-01T20:00:00+02:00 --closes-at +90m
  throng poll open song --again --closes-at +10m";

/// Close a poll, now or later
///
/// A ballot that arrives at that time or later is not counted. The result is final ten seconds after the close at the
/// earliest, once a server has recorded that no more ballots can arrive. With a broker, or a database that several servers may
/// share, the close is one second from now at the earliest, so that every node knows of it in advance.
#[derive(Debug, Args)]
#[command(after_help = CLOSE_EXAMPLES)]
pub(in crate::cli) struct Close {
    /// Slug of the poll
    slug: Slug,
    /// Closing time: `now`, a time such as 2026-07-01T22:00:00Z or 2026-07-01T22:00[Europe/Paris], or a delay from now such as
    /// +10m
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, default_value = "now")]
    at: TimeArg,
    #[command(flatten)]
    json: Json,
}

const CLOSE_EXAMPLES: &str = "\
Examples:
  throng poll close song
  throng poll close song --at +10m
  throng poll close song --at 2026-07-01T22:00:00+02:00";

impl Open {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let opened = if self.again {
            polls.reopen(&self.slug, self.closes_at).await
        } else {
            polls.open(&self.slug, self.at, self.closes_at).await
        };
        write_poll(&opened.map_err(advise)?, clock.now(), self.json, out)
    }
}

impl Close {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let closed = polls.close(&self.slug, self.at).await.map_err(advise)?;
        // A poll that closes at once does so within this millisecond.
        write_poll(&closed, clock.now().plus_ms(1), self.json, out)
    }
}
