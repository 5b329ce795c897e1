//! Elections for tests, and a plain model of an instant-runoff count: slow, and written without a look at the count that it is
//! compared with.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::OptionId;

/// Options 1 to `count`.
pub fn ids(count: u16) -> Vec<OptionId> {
    (1..=count).map(OptionId).collect()
}

/// A ranking of these options.
pub fn ranking(options: &[u16]) -> Ranking {
    options.iter().copied().map(OptionId).collect()
}

/// Up to six options in some order, and rankings of them with few ballots each, so that ties are frequent.
pub fn election() -> impl Strategy<Value = (Vec<OptionId>, Vec<(Ranking, u64)>)> {
    (1_u16..=6).prop_flat_map(|count| {
        let ranked = (Just(ids(count)).prop_shuffle(), 1..=usize::from(count), 0_u64..6);
        let ranked = ranked.prop_map(|(order, length, ballots)| (order.into_iter().take(length).collect(), ballots));
        (Just(ids(count)).prop_shuffle(), proptest::collection::vec(ranked, 0..9))
    })
}

pub fn rule() -> impl Strategy<Value = RankedRule> {
    let tie_break = prop_oneof![Just(TieBreak::OptionOrder), Just(TieBreak::PreviousRounds)];
    (tie_break, any::<bool>(), any::<bool>()).prop_map(|(tie_break, batch_elimination, until_two)| RankedRule {
        tie_break,
        batch_elimination,
        until_two,
    })
}

type Tally = BTreeMap<OptionId, u64>;

/// How many ballots have each of `left` as the first one among them.
fn tally(left: &[OptionId], rankings: &[(Ranking, u64)]) -> Tally {
    let votes = |option: OptionId| {
        let first = |ranking: &Ranking| ranking.iter().find(|other| left.contains(other)).copied();
        rankings.iter().filter(|(ranking, _)| first(ranking) == Some(option)).map(|(_, ballots)| ballots).sum()
    };
    left.iter().map(|option| (*option, votes(*option))).collect()
}

/// The losers, in the order in which one would be eliminated after the other, if counts stayed as they are.
fn from_below(left: &[OptionId], now: &Tally, earlier: &[Tally], rule: &RankedRule) -> Vec<OptionId> {
    let mut order: Vec<OptionId> = left.to_vec();
    order.reverse();
    let key = |option: &OptionId| {
        let before: Vec<u64> = match rule.tie_break {
            TieBreak::OptionOrder => Vec::new(),
            TieBreak::PreviousRounds => earlier.iter().rev().map(|tally| tally[option]).collect(),
        };
        (now[option], before)
    };
    order.sort_by_key(key);
    order
}

/// The tally and the eliminated options of each round, and the winner.
fn model(
    options: &[OptionId],
    rankings: &[(Ranking, u64)],
    rule: &RankedRule,
) -> (Vec<(Tally, Vec<OptionId>)>, Option<OptionId>) {
    let (mut rounds, mut earlier) = (Vec::new(), Vec::new());
    let (mut left, mut winner) = (options.to_vec(), None);
    loop {
        let now = tally(&left, rankings);
        let all: u64 = now.values().sum();
        let order = from_below(&left, &now, &earlier, rule);
        if winner.is_none() && all > 0 {
            winner = left.iter().copied().find(|option| 2 * now[option] > all);
            if left.len() == 2 && winner.is_none() {
                winner = order.last().copied();
            }
        }
        if all == 0 || left.len() <= 2 || (winner.is_some() && !rule.until_two) {
            rounds.push((now, Vec::new()));
            return (rounds, winner);
        }
        let mut out = vec![order[0]];
        if rule.batch_elimination {
            let mut by_count = left.clone();
            by_count.reverse();
            by_count.sort_by_key(|option| now[option]);
            let keep_min = if rule.until_two { 2 } else { 1 };
            let sizes = (2..by_count.len()).filter(|size| by_count.len() - size >= keep_min);
            let fits = |size: &usize| by_count[..*size].iter().map(|o| now[o]).sum::<u64>() < now[&by_count[*size]];
            if let Some(size) = sizes.filter(fits).max() {
                out = by_count[..size].to_vec();
            }
        }
        left.retain(|option| !out.contains(option));
        rounds.push((now.clone(), out));
        earlier.push(now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn count_matches_the_model((options, rankings) in election(), rule in rule()) {
        let result = instant_runoff(&options, &rankings, &rule);
        let (rounds, winner) = model(&options, &rankings, &rule);
        prop_assert_eq!(result.winner, winner);
        let as_model = |round: &Round| {
            let counts = round.counts.iter().map(|option| (option.id, option.count)).collect::<Tally>();
            (counts, round.eliminated.clone())
        };
        prop_assert_eq!(result.rounds.iter().map(as_model).collect::<Vec<_>>(), rounds);
        let all: u64 = rankings.iter().map(|(_, ballots)| ballots).sum();
        for (number, round) in (1..).zip(&result.rounds) {
            prop_assert_eq!(round.round, number);
            prop_assert_eq!(round.counts.iter().map(|option| option.count).sum::<u64>() + round.exhausted, all);
            let positions: Vec<_> = round.counts.iter().map(|count| options.iter().position(|id| *id == count.id)).collect();
            prop_assert!(positions.is_sorted(), "counts are in the poll's order");
        }
    }

    #[test]
    fn result_does_not_depend_on_the_order_of_ballots(
        ((options, rankings), shuffled) in election().prop_flat_map(|(options, rankings)| {
            // Each ranking also split in two.
            let halves = |(ranking, ballots): &(Ranking, u64)| [(ranking.clone(), ballots / 2), (ranking.clone(), ballots - ballots / 2)];
            let split: Vec<_> = rankings.iter().flat_map(halves).collect();
            (Just((options, rankings)), Just(split).prop_shuffle())
        }),
        rule in rule(),
    ) {
        prop_assert_eq!(instant_runoff(&options, &shuffled, &rule), instant_runoff(&options, &rankings, &rule));
        prop_assert_eq!(pairwise(&options, &shuffled), pairwise(&options, &rankings));
    }

    #[test]
    fn batch_elimination_and_later_rounds_keep_the_winner((options, rankings) in election(), rule in rule()) {
        let by_round = |result: &RunOff| {
            let ties = result.rounds.iter().filter_map(|round| round.tie_broken.as_ref());
            ties.map(|tie| tie.by).any(|by| by == TieBreak::PreviousRounds)
        };
        let result = instant_runoff(&options, &rankings, &rule);
        let plain = instant_runoff(&options, &rankings, &RankedRule { batch_elimination: false, until_two: false, ..rule });
        if !rule.batch_elimination || !(by_round(&result) || by_round(&plain)) {
            prop_assert_eq!(result.winner, plain.winner);
        }
        prop_assert!(result.rounds.len() <= plain.rounds.len() || rule.until_two);
    }
}
