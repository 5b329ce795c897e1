//! Instant-runoff counts: py-vote-core breaks ties by the order of options, STVPoll by earlier rounds and then by that order. Both
//! have to find the winner that Throng finds, in the same rounds.
//!
//! They go on until an option has more than half of *all* ballots, or one is left; Throng's last round is then one of theirs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use throng_domain::poll::OptionId;
use throng_domain::tabulation::{RankedRule, RunOff, TieBreak, instant_runoff};

use crate::elections::{Election, elections};
use crate::recount::Recount;

/// How many elections without a tie are counted.
const WITHOUT_TIE: usize = 10_000;

#[derive(Serialize)]
struct Asked<'a> {
    options: &'a [OptionId],
    rankings: &'a [(throng_domain::tabulation::Ranking, u64)],
}

#[derive(Debug, Deserialize)]
struct Responses {
    option_order: Response,
    previous_rounds: Response,
}

#[derive(Debug, Deserialize)]
struct Response {
    rounds: Vec<TheirRound>,
    winner: OptionId,
}

#[derive(Debug, Deserialize)]
struct TheirRound {
    counts: BTreeMap<String, f64>,
    eliminated: Option<OptionId>,
}

#[test]
fn other_programs_find_the_same_winner_in_the_same_rounds() {
    let mut recount = Recount::start();
    let (mut without_tie, mut with_tie, mut by_rounds, mut exhausted) = (0, 0, 0, 0);
    for election in elections() {
        let (options, rankings) = &election;
        let responses: Responses = recount.ask(&Asked { options, rankings });
        let ties =
            [(TieBreak::OptionOrder, &responses.option_order), (TieBreak::PreviousRounds, &responses.previous_rounds)];
        let [by_order, by_round] = ties.map(|(tie_break, response)| check(&election, tie_break, response));
        let has_tie = |result: &RunOff, by| {
            result.rounds.iter().filter_map(|round| round.tie_broken.as_ref()).any(|tie| tie.by == by)
        };
        exhausted += usize::from(by_order.rounds.iter().any(|round| round.exhausted > 0));
        by_rounds += usize::from(has_tie(&by_round, TieBreak::PreviousRounds));
        if has_tie(&by_order, TieBreak::OptionOrder) {
            with_tie += 1;
        } else {
            without_tie += 1;
        }
        if without_tie == WITHOUT_TIE {
            break;
        }
    }
    recount.finish();
    println!(
        "{without_tie} elections without a tie, {with_tie} with one, {by_rounds} with one that an earlier round breaks"
    );
    assert!(with_tie > 1_000 && by_rounds > 500 && exhausted > 5_000, "{with_tie} {by_rounds} {exhausted}");
}

/// Compares the counts by all rules that break ties in this way; returns the one by the rule with no more than that.
fn check(election: &Election, tie_break: TieBreak, theirs: &Response) -> RunOff {
    let (options, rankings) = election;
    let count = |batch_elimination, until_two| {
        instant_runoff(options, rankings, &RankedRule { tie_break, batch_elimination, until_two })
    };
    let (plain, until_two, batch) = (count(false, false), count(false, true), count(true, false));
    for ours in [&plain, &until_two] {
        assert_eq!(ours.winner, Some(theirs.winner), "{election:?} {theirs:?}");
        for (round, their) in ours.rounds.iter().zip(&theirs.rounds) {
            let counts = round.counts.iter().map(|option| (option.id.to_string(), option.count as f64)).collect();
            assert_eq!(their.counts, counts, "{election:?} {theirs:?}");
            // Their last round eliminates nothing.
            if let ([eliminated], Some(_)) = (&round.eliminated[..], their.eliminated) {
                assert_eq!(their.eliminated, Some(*eliminated), "{election:?} {theirs:?}");
            }
        }
    }
    // The first round with more than half of the ballots that count, or with an equal count of the last two options.
    let is_decided = |round: &TheirRound| {
        let (counting, most) = (round.counts.values().sum::<f64>(), round.counts.values().copied().fold(0.0, f64::max));
        most > counting / 2.0 || round.counts.len() == 2
    };
    let decided = theirs.rounds.iter().position(is_decided);
    assert_eq!(decided, Some(plain.rounds.len() - 1), "{election:?} {theirs:?}");
    if tie_break == TieBreak::OptionOrder {
        assert_eq!(batch.winner, Some(theirs.winner), "{election:?}");
    }
    plain
}
