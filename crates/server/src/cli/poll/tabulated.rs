//! The rounds of a ranked poll and the scores of a score poll, for a terminal.

use std::io::Write;

use throng_domain::poll::{OptionId, Poll};
use throng_domain::tabulation::{Pairwise, Round, Scored, TieBreak};

use crate::cli::table::{Side, Table, plain};
use crate::view::Tabulated;

/// Writes what was tabulated of the poll's result.
pub(super) fn write_tabulated(out: &mut dyn Write, poll: &Poll, tabulated: &Tabulated) -> anyhow::Result<()> {
    match tabulated {
        Tabulated::Ranked { rounds, winner, pairwise } => write_rounds(out, poll, rounds, *winner, pairwise),
        Tabulated::Score { scores } => write_scores(out, poll, scores),
    }
}

fn write_rounds(
    out: &mut dyn Write,
    poll: &Poll,
    rounds: &[Round],
    winner: Option<OptionId>,
    pairwise: &Pairwise,
) -> anyhow::Result<()> {
    let Some(winner) = winner else { return Ok(()) };
    writeln!(out)?;
    let mut table = Table::new([Side::Right, Side::Right, Side::Left, Side::Right, Side::Left]);
    table.row(["ROUND", "ID", "OPTION", "COUNT", ""].map(str::to_owned));
    for Round { round, counts, exhausted, eliminated, .. } in rounds {
        for counted in counts {
            let fate = if eliminated.contains(&counted.id) { "out" } else { "" };
            let (id, label) = (counted.id.to_string(), label(poll, counted.id));
            table.row([round.to_string(), id, label, counted.count.to_string(), fate.to_owned()]);
        }
        if *exhausted > 0 {
            let label = "(no further choice)".to_owned();
            table.row([round.to_string(), String::new(), label, exhausted.to_string(), String::new()]);
        }
    }
    table.write(out, "")?;
    writeln!(out)?;
    for round in rounds {
        write_tie(out, round)?;
    }
    writeln!(out, "The winner is option {winner}, {}.", label(poll, winner))?;
    match pairwise.condorcet_winner {
        Some(other) if other != winner => writeln!(
            out,
            "More ballots prefer option {other}, {}, to each other option than the reverse (Condorcet).",
            label(poll, other)
        )?,
        Some(_) | None => {}
    }
    Ok(())
}

fn write_tie(out: &mut dyn Write, Round { round, tie_broken, .. }: &Round) -> anyhow::Result<()> {
    let tie = tie_broken.as_ref().map(|tie| {
        let by = match (tie.by, tie.round) {
            (TieBreak::PreviousRounds, Some(earlier)) => format!("by their counts in round {earlier}"),
            (TieBreak::PreviousRounds | TieBreak::OptionOrder, _) => "by the order of the options".to_owned(),
        };
        format!("Round {round}: options {} had the same count; the tie was broken {by}.", list(&tie.tied))
    });
    if let Some(tie) = tie {
        writeln!(out, "{tie}")?;
    }
    Ok(())
}

fn write_scores(out: &mut dyn Write, poll: &Poll, scores: &Scored) -> anyhow::Result<()> {
    writeln!(out)?;
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Right, Side::Right]);
    table.row(["ID", "OPTION", "SCORED BY", "SUM", "MEAN"].map(str::to_owned));
    for option in &scores.options {
        table.row([
            option.id.to_string(),
            label(poll, option.id),
            option.ballots.to_string(),
            option.sum.to_string(),
            option.mean.map_or_else(String::new, |mean| format!("{mean:.2}")),
        ]);
    }
    table.write(out, "")?;
    match scores.winners.as_slice() {
        [] => {}
        [winner] => writeln!(out, "\nThe winner is option {winner}, {}.", label(poll, *winner))?,
        several => writeln!(out, "\nOptions {} have the same result, which is the best.", list(several))?,
    }
    Ok(())
}

fn label(poll: &Poll, id: OptionId) -> String {
    let option = poll.options.iter().find(|option| option.id == id);
    option.map_or_else(String::new, |option| plain(&option.label))
}

fn list(options: &[OptionId]) -> String {
    options.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
