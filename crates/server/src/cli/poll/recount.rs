//! `throng poll recount`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use throng_domain::poll::{OptionId, Poll, Slug};
use throng_domain::store::{Recount as Counted, Store};

use super::find;
use crate::cli::table::{Side, Table};
use crate::cli::{Json, write_json};

/// Count a poll's ballots again, and compare with its tallies
///
/// Both come from one moment, so this is exact while a crowd votes. It reads every ballot, which takes a while for
/// millions. Ends with 0 if the two agree, with 1 if they don't.
#[derive(Debug, Args)]
pub(in crate::cli) struct Recount {
    /// The poll
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

/// Both counts, as `--json` shows them.
#[derive(Debug, Serialize)]
struct View<'a> {
    poll: &'a str,
    equal: bool,
    voters: Line<'a>,
    options: Vec<Line<'a>>,
}

/// What was counted twice.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<OptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    tallies: u64,
    ballots: u64,
}

impl Recount {
    pub(super) async fn run(self, store: &dyn Store, out: &mut dyn Write) -> anyhow::Result<()> {
        let poll = find(store, &self.slug).await?;
        let counted = store.recount(poll.id).await?;
        let equal = counted.tallies.counts_equal(&counted.ballots);
        let voters = Line { id: None, label: None, tallies: counted.tallies.voters, ballots: counted.ballots.voters };
        let options = lines(&poll, &counted);
        if self.json.json {
            write_json(out, &View { poll: poll.slug.as_str(), equal, voters, options })?;
        } else {
            write_table(out, &voters, &options)?;
            if equal {
                writeln!(out, "\nThe tallies agree with the ballots.")?;
            }
        }
        if !equal {
            bail!(
                "the tallies of `{}` don't agree with its ballots; the ballots are the truth: keep the database as it is",
                poll.slug
            );
        }
        Ok(())
    }
}

/// The poll's options in their order, then what ballots chose that the poll doesn't have.
fn lines<'a>(poll: &'a Poll, counted: &Counted) -> Vec<Line<'a>> {
    let line = |id: OptionId, label| {
        let (tallies, ballots) = (counted.tallies.count(id), counted.ballots.count(id));
        Line { id: Some(id), label, tallies, ballots }
    };
    let known = poll.options.iter().map(|option| line(option.id, Some(option.label.as_str())));
    let strange = counted.ballots.counts.iter().filter(|(id, _)| poll.options.iter().all(|option| option.id != *id));
    known.chain(strange.map(|(id, _)| line(*id, None))).collect()
}

fn write_table(out: &mut dyn Write, voters: &Line<'_>, options: &[Line<'_>]) -> anyhow::Result<()> {
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Left]);
    table.row(["ID", "OPTION", "TALLIES", "BALLOTS", ""].map(str::to_owned));
    for line in options.iter().chain([voters]) {
        let label = match line.id {
            Some(_) => line.label.unwrap_or("(no option of this poll)"),
            None => "voters",
        };
        table.row([
            line.id.map_or_else(String::new, |id| id.to_string()),
            label.to_owned(),
            line.tallies.to_string(),
            line.ballots.to_string(),
            if line.tallies == line.ballots { "" } else { "differs" }.to_owned(),
        ]);
    }
    Ok(table.write(out, "")?)
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;
    use throng_domain::tally::Tallies;

    use super::*;

    #[test]
    fn what_differs_is_named_also_where_the_poll_has_no_such_option() {
        let poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let mut counted = Counted { tallies: Tallies::empty(&poll), ballots: Tallies::empty(&poll) };
        counted.ballots.voters = 1;
        counted.ballots.counts[1].1 = 1;
        counted.ballots.counts.push((OptionId(9), 1));
        let lines = lines(&poll, &counted);
        let differing: Vec<_> = lines.iter().filter(|line| line.tallies != line.ballots).collect();
        let line = |id, label| Line { id: Some(OptionId(id)), label, tallies: 0, ballots: 1 };
        assert_eq!(differing, [&line(2, Some("New discoveries")), &line(9, None)]);
        let mut out = Vec::new();
        let voters = Line { id: None, label: None, tallies: 0, ballots: 1 };
        write_table(&mut out, &voters, &lines).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().matches("differs").count(), 3);
    }
}
