//! `throng poll recount`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use throng_domain::poll::{OptionId, Poll, Slug};
use throng_domain::store::Recount as Counted;

use super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table};
use crate::polls::PollService;

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

/// Both counts, as `--json` prints them.
#[derive(Debug, Serialize)]
struct View<'a> {
    poll: &'a str,
    equal: bool,
    repaired: bool,
    voters: Row<'a>,
    options: Vec<Row<'a>>,
}

/// The two counts of an option, or of the voters.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<OptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    tallies: u64,
    ballots: u64,
}

impl Recount {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let poll = polls.find(&self.slug).await.map_err(advise)?;
        let counted = polls.recount(&poll).await?;
        let equal = counted.tallies.counts_equal(&counted.ballots);
        let repaired = self.repair && !equal;
        // Also where an interrupted void has left nothing but its note.
        if repaired || self.repair && poll.voids.iter().any(|void| !void.applied) {
            polls.settle(&poll.slug).await?;
        }
        let voters = Row { id: None, label: None, tallies: counted.tallies.voters, ballots: counted.ballots.voters };
        let options = rows(&poll, &counted);
        if self.json.json {
            write_json(out, &View { poll: poll.slug.as_str(), equal, repaired, voters, options })?;
        } else {
            write_table(out, &voters, &options)?;
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

/// The poll's options in their order, then the options in ballots that the poll doesn't have.
fn rows<'a>(poll: &'a Poll, counted: &Counted) -> Vec<Row<'a>> {
    let row = |id: OptionId, label| {
        let (tallies, ballots) = (counted.tallies.count(id), counted.ballots.count(id));
        Row { id: Some(id), label, tallies, ballots }
    };
    let known = poll.options.iter().map(|option| row(option.id, Some(option.label.as_str())));
    let unknown = counted.ballots.counts.iter().filter(|(id, _)| poll.options.iter().all(|option| option.id != *id));
    known.chain(unknown.map(|(id, _)| row(*id, None))).collect()
}

fn write_table(out: &mut dyn Write, voters: &Row<'_>, options: &[Row<'_>]) -> anyhow::Result<()> {
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Left]);
    table.row(["ID", "OPTION", "TALLIES", "BALLOTS", ""].map(str::to_owned));
    for row in options.iter().chain([voters]) {
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
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;
    use throng_domain::store::Voided;
    use throng_domain::tally::Tallies;

    use super::*;

    #[test]
    fn differences_include_options_unknown_to_the_poll() {
        let poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let mut counted =
            Counted { tallies: Tallies::empty(&poll), ballots: Tallies::empty(&poll), voided: Voided::default() };
        counted.ballots.voters = 1;
        counted.ballots.counts[1].1 = 1;
        counted.ballots.counts.push((OptionId(9), 1));
        let rows = rows(&poll, &counted);
        let differing: Vec<_> = rows.iter().filter(|row| row.tallies != row.ballots).collect();
        let row = |id, label| Row { id: Some(OptionId(id)), label, tallies: 0, ballots: 1 };
        assert_eq!(differing, [&row(2, Some("New discoveries")), &row(9, None)]);
        let mut out = Vec::new();
        let voters = Row { id: None, label: None, tallies: 0, ballots: 1 };
        write_table(&mut out, &voters, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().matches("differs").count(), 3);
    }
}
