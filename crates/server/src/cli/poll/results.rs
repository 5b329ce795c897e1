//! `throng poll results`.

use std::io::{IsTerminal as _, Write};

use clap::Args;
use throng_backends::queue;
use throng_domain::clock::Clock;
use throng_domain::poll::{Kind, PollState, Slug};
use throng_domain::store::Store;
use throng_domain::tally::DetailedTallies;
use throng_domain::waits_for::WaitsFor;

use super::advice::advise;
use super::display::state_text;
use super::tabulated::write_tabulated;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table, plain};
use crate::config::Config;
use crate::polls::PollService;
use crate::view::{ResultsView, Tabulated};

/// Percent per character of a bar.
const BAR_PERCENT: f64 = 2.5;

/// Show a poll's result, also where voters can't see it
///
/// With --json: as GET /api/v1/polls/SLUG/results returns it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Results {
    /// Slug of the poll
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

impl Results {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        store: &dyn Store,
        clock: &dyn Clock,
        config: &Config,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = polls.find(&self.slug).await.map_err(advise)?;
        let DetailedTallies { tallies, details } = store.detailed_tallies(poll.id).await?;
        let tabulated = Tabulated::of(&poll, details);
        let now = clock.now();
        if self.json.json {
            let view = ResultsView::new(&poll, &tallies, now, now, false);
            return write_json(out, &view.with(tabulated.as_ref()));
        }
        writeln!(out, "{}", plain(&poll.title))?;
        writeln!(out, "The poll is {}.", state_text(&poll, now))?;
        if poll.rehearsal {
            writeln!(out, "It is a REHEARSAL: these votes were sent by load runs, and mean nothing.")?;
        }
        if poll.state(now) == PollState::Closing {
            writeln!(out, "{}.", why_not_final(config, &store.queues().await?).await)?;
        }
        writeln!(out)?;
        let bars = std::io::stdout().is_terminal();
        let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Left]);
        table.row(["ID", "OPTION", "COUNT", "PERCENT", ""].map(str::to_owned));
        for option in poll.option_results(&tallies) {
            // At most 100 percent, so a few dozen characters.
            let bar = if bars { "█".repeat((option.percent / BAR_PERCENT) as usize) } else { String::new() };
            table.row([
                option.id.to_string(),
                option.label.to_owned(),
                option.count.to_string(),
                format!("{:.1}", option.percent),
                bar,
            ]);
        }
        table.write(out, "")?;
        let base = poll.shares_of().as_str();
        match poll.kind {
            Kind::Single | Kind::Multiple => {
                let (voters, selections) = (tallies.voters, tallies.selections());
                writeln!(out, "\nBallots: {voters}. Choices: {selections}. Percent of the {base}.")?;
            }
            Kind::Ranked => writeln!(out, "\nBallots: {}. First choices, in percent of the {base}.", tallies.voters)?,
            Kind::Score => {
                let (voters, points) = (tallies.voters, tallies.selections());
                writeln!(out, "\nBallots: {voters}. Points: {points}, of which these are shares in percent.")?;
            }
        }
        if let Some(tabulated) = &tabulated {
            write_tabulated(out, &poll, tabulated)?;
        }
        let imported: u64 = poll.imported.iter().map(|(_, count)| count).sum();
        if imported > 0 {
            writeln!(out, "Of the choices, {imported} are from an earlier system.")?;
        }
        if poll.voids.iter().any(|void| !void.undone) {
            writeln!(out, "Some ballots are void, and not counted: throng poll void {} --list", poll.slug)?;
        }
        Ok(())
    }
}

/// What the result waits for, as far as this command can determine it.
async fn why_not_final(config: &Config, queues: &[String]) -> String {
    match &config.queue {
        Some(url) => {
            let messages = queue::depth(url, &config.queue_prefix.0).messages().await;
            let others = match queues {
                [] => String::new(),
                [_, ..] => format!(". Nodes use these queues, each of which must be recorded: {}", queues.join(", ")),
            };
            format!("Its result {}{others}", WaitsFor::of(messages).words())
        }
        None if !queues.is_empty() => format!(
            "Its result is final once everything on these queues is recorded, a minute after the close at the earliest: {}. \
             QUEUE_URL isn't set here: set it to see what the result waits for. An empty queue that no node uses any more must \
             be removed from the list, as described in docs/scaling.md",
            queues.join(", ")
        ),
        None => "Without a broker its result is final ten seconds after the close, while a server runs. QUEUE_URL isn't set \
                 here: if the web nodes use one, set it to see what the result waits for"
            .to_owned(),
    }
}
