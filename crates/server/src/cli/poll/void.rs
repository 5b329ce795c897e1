//! `throng poll void` and `throng poll unvoid`.

use std::io::Write;

use clap::{ArgGroup, Args};
use throng_domain::ballot::VoterKey;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::{OptionId, Poll, Slug};
use throng_domain::store::{Recount, Voided};
use throng_domain::void::{Void as Rule, VoidRule};

use super::advice::advise;
use super::edit::option_id;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table};
use crate::polls::{PollService, TimeArg, VoidChange};
use crate::view::{VoidChangeView, VoidView, rfc3339_text};

/// Leave doubtful ballots out of a poll's result
///
/// Without --apply it only shows what the result would be. No ballot is changed or deleted: those that fit all of the given
/// conditions don't count any more, also ones that are recorded later, until `throng poll unvoid`. Votes go on meanwhile. Where
/// voters may change their ballots, wait until the result is final; then the latest of a voter's ballots that aren't void counts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "throng poll void [OPTIONS] <SLUG>")]
#[command(group = ArgGroup::new("what").multiple(true).required(true).args(["from", "until", "voter", "choices", "list"]))]
pub(in crate::cli) struct Void {
    /// Slug of the poll
    slug: Slug,
    /// Ballots that arrived at this time or later, such as 2026-07-01T20:00:00Z
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Ballots that arrived before this time
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<TimeArg>,
    /// Ballots of this voter, by the pseudonym in the export; with the policy `network`, of a network on one day
    #[arg(long, value_name = "PSEUDONYM")]
    voter: Option<VoterKey>,
    /// Ballots that chose exactly these options, by their ids, such as 1,3
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = option_id)]
    choices: Vec<OptionId>,
    /// Make them void, instead of only showing it
    #[arg(long, requires = "reason")]
    apply: bool,
    /// List the poll's rules instead
    #[arg(long, conflicts_with_all = ["from", "until", "voter", "choices", "apply"])]
    list: bool,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll void song --from 2026-07-01T20:14:00Z --until 2026-07-01T20:15:30Z
  throng poll void song --from 2026-07-01T20:14:00Z --until 2026-07-01T20:15:30Z --apply --reason 'a script voted'
  throng poll void song --voter 4b68ab3847feda7d6c62c1fbcbeebf --choices 1,3
  throng poll unvoid song 1 --apply --reason 'it was a school class'";

/// Let ballots count again that were void by a rule
///
/// Without --apply it only shows what the result would be.
#[derive(Debug, Args)]
pub(in crate::cli) struct Unvoid {
    /// Slug of the poll
    slug: Slug,
    /// Number of the rule, as `throng poll void --list` prints it
    number: u32,
    /// Undo it, instead of only showing it
    #[arg(long, requires = "reason")]
    apply: bool,
    #[command(flatten)]
    json: Json,
}

impl Void {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        if self.list {
            return list(&polls.find(&self.slug).await.map_err(advise)?, self.json, out);
        }
        let now = clock.now();
        let time = |time: Option<TimeArg>| time.map(|time| time.resolve(now, now));
        let mut choices = self.choices;
        choices.sort_unstable();
        choices.dedup();
        let rule = VoidRule {
            from: time(self.from),
            until: time(self.until),
            voter: self.voter,
            choices: (!choices.is_empty()).then_some(choices),
        };
        run(polls, &self.slug, VoidChange::Add(rule), self.apply, self.json, out).await
    }
}

impl Unvoid {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        run(polls, &self.slug, VoidChange::Undo(self.number), self.apply, self.json, out).await
    }
}

async fn run(
    polls: PollService<'_>,
    slug: &Slug,
    change: VoidChange,
    apply: bool,
    json: Json,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let adds = matches!(change, VoidChange::Add(_));
    let changed = if apply { polls.change_voids(slug, change).await } else { polls.preview(slug, &change).await };
    let (poll, counted) = changed.map_err(advise)?;
    let view = VoidChangeView::new(&poll, &counted, adds, apply);
    if json.json {
        return write_json(out, &view);
    }
    write_table(&counted, adds, &view, out)?;
    if apply {
        Ok(writeln!(out, "\nThis is the result now. See who did what: throng poll log {}", poll.slug)?)
    } else {
        Ok(writeln!(out, "\nNothing was changed. To apply it, add: --apply --reason 'why'")?)
    }
}

fn write_table(counted: &Recount, adds: bool, view: &VoidChangeView<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Right]);
    table.row(["ID", "OPTION", "BEFORE", "AFTER", "DIFFERENCE"].map(str::to_owned));
    for row in view.options.iter().chain([&view.voters]) {
        table.row([
            row.id.map_or_else(String::new, |id| id.to_string()),
            row.label.unwrap_or("voters").to_owned(),
            row.before.to_string(),
            row.after.to_string(),
            row.after.cast_signed().wrapping_sub(row.before.cast_signed()).to_string(),
        ]);
    }
    table.write(out, "")?;
    let Voided { all, by_last } = counted.voided;
    match adds {
        true if by_last == 0 => Ok(writeln!(out, "\nNo ballot fits this rule. Void ballots by other rules: {all}.")?),
        true => Ok(writeln!(out, "\nVoid ballots: {by_last} by this rule, {all} by all rules.")?),
        false => Ok(writeln!(out, "\nVoid ballots: {all}.")?),
    }
}

fn list(poll: &Poll, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, &poll.voids.iter().map(VoidView::from).collect::<Vec<_>>());
    }
    if poll.voids.is_empty() {
        return Ok(writeln!(out, "The poll `{}` has no rules that void ballots.", poll.slug)?);
    }
    let mut table = Table::new([Side::Right, Side::Left, Side::Left]);
    table.row(["RULE", "STATE", "APPLIES TO BALLOTS"].map(str::to_owned));
    for void in &poll.voids {
        table.row([void.number.to_string(), state(void).to_owned(), rule_text(&void.rule)]);
    }
    Ok(table.write(out, "")?)
}

/// Whether the result agrees with the rule; if not, it was interrupted.
pub(super) fn state(void: &Rule) -> &'static str {
    match (void.undone, void.applied) {
        (false, true) => "applied",
        (true, true) => "undone",
        (false, false) => "not counted yet",
        (true, false) => "undone, not counted yet",
    }
}

pub(super) fn rule_text(rule: &VoidRule) -> String {
    let time = |at: Timestamp| rfc3339_text(at);
    let conditions = [
        rule.from.map(|from| format!("from {}", time(from))),
        rule.until.map(|until| format!("until {}", time(until))),
        rule.voter.map(|voter| format!("of voter {voter}")),
        rule.choices.as_ref().map(|choices| {
            let ids: Vec<_> = choices.iter().map(ToString::to_string).collect();
            format!("that chose {}", ids.join(","))
        }),
    ];
    conditions.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
