//! `throng poll open` and `throng poll close`.

use std::io::Write;

use clap::Args;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::{Poll, PollState, Slug};
use throng_domain::store::{Close as ClosePoll, Store, Window};
use throng_domain::window::WindowFault;

use super::{find, write_changed};
use crate::cli::time_arg::TimeArg;
use crate::cli::{Json, database, write_json};
use crate::view::{PollView, rfc3339_text};

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
    /// `heard_ms`: see [`Close::run`].
    pub(super) async fn run(
        self,
        store: &dyn Store,
        clock: &dyn Clock,
        heard_ms: i64,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = change(store, clock, &self.slug, |poll, now| {
            let opens_at = self.at.resolve(now, now);
            let closes_at = self.closes_at.map(|closes_at| closes_at.resolve(now, opens_at));
            // A poll that opens before every node knows of a change counts as open: it can't be postponed any more.
            match (poll.state(now.plus_ms(heard_ms)), poll.opens_at) {
                _ if self.again => poll.reopened(now, closes_at),
                (PollState::Open, Some(opens_at)) => Err(WindowFault::Open { opens_at }),
                _ => poll.opened(now, opens_at, closes_at),
            }
        });
        write_poll(&poll.await?, clock.now(), self.json, out)
    }
}

impl Close {
    /// `heard_ms`: how long it takes until every node knows of a change, in milliseconds. The close is no earlier, since what a
    /// node accepted after it would not count; nor is it postponed beyond the close that the nodes know of.
    pub(super) async fn run(
        self,
        store: &dyn Store,
        clock: &dyn Clock,
        heard_ms: i64,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let closed = database::retry_conflicts(async || {
            let (poll, now) = (find(store, &self.slug).await?, clock.now());
            let close = ClosePoll { at: self.at.resolve(now, now), heard_ms };
            // An estimate: the store decides.
            let expected = close.moment(poll.closes_at, now).filter(|_| close.at >= now).unwrap_or(close.at);
            poll.closed(now, expected).map_err(|fault| anyhow::Error::msg(fault_text(&poll.slug, fault)))?;
            Ok(store.close_poll(poll.id, poll.version, close).await?)
        });
        // A poll that closes at once does so within this millisecond.
        write_poll(&closed.await?, clock.now().plus_ms(1), self.json, out)
    }
}

/// Sets the window that `decide` returns for the poll as it is when the window is stored.
async fn change(
    store: &dyn Store,
    clock: &dyn Clock,
    slug: &Slug,
    decide: impl Fn(&Poll, Timestamp) -> Result<Window, WindowFault>,
) -> anyhow::Result<Poll> {
    database::retry_conflicts(async || {
        let poll = find(store, slug).await?;
        let window = decide(&poll, clock.now()).map_err(|fault| anyhow::Error::msg(fault_text(&poll.slug, fault)))?;
        Ok(store.set_window(poll.id, poll.version, window).await?)
    })
    .await
}

fn write_poll(poll: &Poll, now: Timestamp, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json { write_json(out, &PollView::new(poll, now)) } else { write_changed(out, poll, now) }
}

/// The error, and what to do instead.
fn fault_text(slug: &Slug, fault: WindowFault) -> String {
    match fault {
        WindowFault::Draft => {
            format!("the poll `{slug}` is a draft, so there is nothing to close; to open it: throng poll open {slug}")
        }
        WindowFault::NotOpenYet { opens_at } => format!(
            "the poll `{slug}` opens only at {}; close it --at a later moment, or open it later: throng poll open \
             {slug} --at WHEN",
            rfc3339_text(opens_at)
        ),
        WindowFault::Open { opens_at } => format!(
            "the poll `{slug}` is open already, from {} on; to set when it closes: throng poll close {slug} --at WHEN",
            rfc3339_text(opens_at)
        ),
        WindowFault::Closed { closes_at } => format!(
            "the poll `{slug}` is closed already, since {}; to let it take ballots again: throng poll open {slug} \
             --again",
            rfc3339_text(closes_at)
        ),
        WindowFault::NotClosed => {
            format!("the poll `{slug}` isn't closed, so it can't be opened again; see throng poll show {slug}")
        }
        WindowFault::ClosesInThePast { closes_at } => format!(
            "{} has passed, and what was counted since would have come too late; choose a later moment to close \
             `{slug}`",
            rfc3339_text(closes_at)
        ),
        WindowFault::ClosesBeforeOpening { opens_at, closes_at } => format!(
            "the poll `{slug}` would close at {}, before it opens at {}; give a later --closes-at",
            rfc3339_text(closes_at),
            rfc3339_text(opens_at)
        ),
    }
}
