//! `throng poll show`.

use std::io::Write;

use clap::Args;
use throng_domain::clock::Clock;
use throng_domain::counting::Counting;
use throng_domain::policy::Quota;
use throng_domain::poll::{Kind, Poll, Slug};
use throng_domain::tabulation::{ScoreRule, TieBreak};

use super::advice::advise;
use super::display::state_text;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table, plain};
use crate::polls::PollService;
use crate::view::{AdminPollView, rfc3339_text};

/// Show a poll's options and state
///
/// With --json: as GET /api/v1/polls/SLUG returns it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Slug of the poll
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

impl Show {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = polls.find(&self.slug).await.map_err(advise)?;
        let now = clock.now();
        if self.json.json {
            return write_json(out, &AdminPollView::new(&poll, now));
        }
        writeln!(out, "{}", plain(&poll.title))?;
        if !poll.intro.is_empty() {
            writeln!(out, "{}", plain(&poll.intro))?;
        }
        writeln!(out)?;
        let mut details = Table::new([Side::Left, Side::Left]);
        for (name, value) in [
            ("slug", poll.slug.to_string()),
            ("state", state_text(&poll, now)),
            ("rehearsal", if poll.rehearsal { "yes: no voter takes part in it".to_owned() } else { String::new() }),
            ("kind", kind_text(&poll)),
            ("counting", counting_text(&poll)),
            ("policy", policy_text(&poll)),
            ("results", format!("{}, in percent of the {}", poll.results.as_str(), poll.percent_base.as_str())),
            ("proof", poll.proof.as_str().to_owned()),
            ("origins", poll.allowed_origins.to_string()),
            ("locale", poll.locale.as_str().to_owned()),
            ("order", poll.option_order.as_str().to_owned()),
            ("consent", poll.consent.clone()),
            ("archived", poll.archived_at.map_or_else(String::new, |at| format!("since {}", rfc3339_text(at)))),
            ("version", poll.version.to_string()),
        ] {
            if !value.is_empty() {
                details.row([name.to_owned(), value]);
            }
        }
        details.write(out, "")?;
        writeln!(out)?;
        let mut options = Table::new([Side::Right, Side::Left]);
        for option in &poll.options {
            options.row([option.id.to_string(), option.label.clone()]);
        }
        Ok(options.write(out, "  ")?)
    }
}

fn policy_text(poll: &Poll) -> String {
    let (policy, Quota { ballots, per_option }) = (poll.policy.as_str(), poll.quota);
    if !poll.policy.identifies_voters() {
        return format!("{policy}, everyone may vote any number of times");
    }
    let per_option = per_option.map_or_else(String::new, |most| format!(", {most} for the same option"));
    let changeable = if poll.changeable { ", who may change it" } else { "" };
    format!("{policy}, {ballots} per voter{per_option}{changeable}")
}

/// How rankings or scores are counted; empty in polls of other kinds.
fn counting_text(poll: &Poll) -> String {
    let Counting { tie_break, batch_elimination, until_two, score, score_max } = poll.counting;
    match poll.kind {
        Kind::Single | Kind::Multiple => String::new(),
        Kind::Ranked => {
            let ties = match tie_break {
                TieBreak::OptionOrder => "ties by the options' order",
                TieBreak::PreviousRounds => "ties by earlier rounds",
            };
            let batches = if batch_elimination { ", several out at once" } else { "" };
            let end = if until_two { ", until two are left" } else { "" };
            format!("instant-runoff voting, {ties}{batches}{end}")
        }
        Kind::Score => {
            let by = match score {
                ScoreRule::Mean => "mean",
                ScoreRule::Sum => "sum",
            };
            format!("by the {by} of scores from 0 to {score_max}")
        }
    }
}

fn kind_text(poll: &Poll) -> String {
    let (kind, min, max) = (poll.kind.as_str(), poll.min_choices, poll.max_choices);
    if min == max { format!("{kind}, exactly {min} to choose") } else { format!("{kind}, {min} to {max} to choose") }
}
