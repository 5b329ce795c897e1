//! `throng poll recount`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use throng_domain::poll::Slug;

use super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table};
use crate::polls::PollService;
use crate::view::RecountView;

/// Count a poll's ballots again and compare the counts with its tallies
///
/// Both are read as of one point in time, so the comparison is exact also while votes arrive. It reads every ballot, which
/// takes a while for millions. Exits with 0 if the two agree, with 1 if they don't.
///
/// With --repair, tallies that don't agree are corrected by the difference, also of a final result, which then gets a later
/// version. A server with an SQLite file shows it with the next vote, or after a restart; others within seconds.
#[derive(Debug, Args)]
pub(in crate::cli) struct Recount {
    /// Slug of the poll
    slug: Slug,
    /// Correct the tallies if they don't agree with the ballots
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    json: Json,
}

impl Recount {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let poll = polls.find(&self.slug).await.map_err(advise)?;
        let counted = polls.recount(&poll).await?;
        let equal = counted.agrees();
        let repaired = self.repair && !equal;
        // Also where an interrupted void has left nothing but its note.
        if repaired || self.repair && poll.voids.iter().any(|void| !void.applied) {
            polls.repair(&poll.slug).await?;
        }
        let view = RecountView::new(&poll, &counted, repaired);
        if self.json.json {
            write_json(out, &view)?;
        } else {
            write_table(out, &view)?;
            match (equal, repaired) {
                (true, _) => writeln!(out, "\nThe tallies agree with the ballots.")?,
                (false, true) => writeln!(out, "\nThe tallies were corrected. They agree with the ballots now.")?,
                (false, false) => {}
            }
        }
        if !equal && !repaired {
            bail!(
                "the tallies of `{}` don't agree with its ballots; the ballots are the truth: keep a copy of the database, then \
                 correct the tallies with --repair",
                poll.slug
            );
        }
        Ok(())
    }
}

fn write_table(out: &mut dyn Write, view: &RecountView<'_>) -> anyhow::Result<()> {
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Left]);
    table.row(["ID", "OPTION", "TALLIES", "BALLOTS", ""].map(str::to_owned));
    for row in view.options.iter().chain([&view.voters]) {
        let label = match row.id {
            Some(_) => row.label.unwrap_or("(no option of this poll)"),
            None => "voters",
        };
        table.row([
            row.id.map_or_else(String::new, |id| id.to_string()),
            label.to_owned(),
            row.tallies.to_string(),
            row.ballots.to_string(),
            if row.tallies == row.ballots { "" } else { "differs" }.to_owned(),
        ]);
    }
    Ok(table.write(out, "")?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::{OptionId, PollId};
    use throng_domain::store::{Recount as Counted, Voided};
    use throng_domain::tally::Tallies;

    use super::*;
    use crate::view::TalliesAndBallots;

    #[test]
    fn differences_include_options_unknown_to_the_poll() {
        let poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let mut counted = Counted {
            tallies: Tallies::empty(&poll),
            ballots: Tallies::empty(&poll),
            details: BTreeMap::new(),
            voided: Voided::default(),
        };
        counted.ballots.voters = 1;
        counted.ballots.counts[1].1 = 1;
        counted.ballots.counts.push((OptionId(9), 1));
        let view = RecountView::new(&poll, &counted, false);
        let differing: Vec<_> = view.options.iter().filter(|row| row.tallies != row.ballots).collect();
        let row = |id, label| TalliesAndBallots { id: Some(OptionId(id)), label, tallies: 0, ballots: 1 };
        assert_eq!(differing, [&row(2, Some("New discoveries")), &row(9, None)]);
        let mut out = Vec::new();
        write_table(&mut out, &view).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().matches("differs").count(), 3);
    }
}
