//! `throng poll list`.

use std::io::Write;

use clap::Args;
use throng_domain::clock::Clock;
use throng_domain::store::Store;

use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table};
use crate::view::{AdminPollView, rfc3339_text};

/// List the polls in the order of their creation
///
/// With --json: an array of polls, each as `throng poll show --json` prints it.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// List archived polls too
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(super) async fn run(self, store: &dyn Store, clock: &dyn Clock, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut polls = store.polls().await?;
        let all = polls.len();
        polls.retain(|poll| self.archived || poll.archived_at.is_none());
        let now = clock.now();
        if self.json.json {
            return write_json(out, &polls.iter().map(|poll| AdminPollView::new(poll, now)).collect::<Vec<_>>());
        }
        if polls.is_empty() && all > 0 {
            return Ok(writeln!(out, "All {all} polls are archived. To list them: throng poll list --archived")?);
        }
        if polls.is_empty() {
            return Ok(writeln!(out, "There is no poll yet. To make one: throng poll create --help")?);
        }
        let mut table = Table::new([Side::Left, Side::Left, Side::Right, Side::Left, Side::Left, Side::Left]);
        table.row(["SLUG", "STATE", "BALLOTS", "OPENS", "CLOSES", "TITLE"].map(str::to_owned));
        for poll in polls {
            let ballots = store.tallies(poll.id).await?.voters;
            let when = |at: Option<_>| at.map_or_else(|| "-".to_owned(), rfc3339_text);
            table.row([
                poll.slug.to_string(),
                format!("{}{}", poll.state(now).as_str(), if poll.rehearsal { " (rehearsal)" } else { "" }),
                ballots.to_string(),
                when(poll.opens_at),
                when(poll.closes_at),
                poll.title,
            ]);
        }
        Ok(table.write(out, "")?)
    }
}
