//! Counting of score polls.

use schemars::JsonSchema;
use serde::Serialize;

use super::profile::Positions;
use super::rule::ScoreRule;
use crate::ids::OptionId;

/// The result of a score poll.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Scored {
    /// Each option, in the poll's order.
    pub options: Vec<OptionScore>,
    /// All options that tie for the top, in the poll's order: one, or several if their sums or means are exactly equal; none
    /// without ballots.
    pub winners: Vec<OptionId>,
}

/// What ballots gave to an option.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct OptionScore {
    /// The option.
    pub id: OptionId,
    /// How many ballots scored it.
    pub ballots: u64,
    /// The sum of its scores.
    pub sum: u64,
    /// The mean of its scores, rounded half up to two decimals; `None` if no ballot scored it. Winners are determined by the
    /// exact mean.
    pub mean: Option<f64>,
    /// How many ballots gave it which score, ascending; without those that no ballot gave.
    pub distribution: Vec<ScoreCount>,
}

/// How many ballots gave a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ScoreCount {
    /// The score.
    pub score: u8,
    /// The number of ballots.
    pub ballots: u64,
}

/// Counts scores. `options` are all options of the poll in its order; each score of an option comes with its number of ballots,
/// and may come several times. The sum of all scores is below 2⁶⁴.
///
/// This is score voting, also called range voting: [`ScoreRule::Mean`] with the option of no opinion, [`ScoreRule::Sum`] without.
/// An option that no ballot scored never wins.
pub fn score(options: &[OptionId], scores: &[(OptionId, u8, u64)], rule: ScoreRule) -> Scored {
    let positions = Positions::new(options.iter().copied());
    let mut distributions = vec![[0_u64; 256]; options.len()];
    for (option, score, ballots) in scores {
        if let Some(position) = positions.get(*option) {
            distributions[position][usize::from(*score)] += ballots;
        }
    }
    let options: Vec<_> = options.iter().zip(&distributions).map(|(id, given)| option_score(*id, given)).collect();
    let is_below = |one: &OptionScore, other: &OptionScore| match rule {
        ScoreRule::Sum => one.sum < other.sum,
        // The means compared as fractions, exactly.
        ScoreRule::Mean => {
            u128::from(one.sum) * u128::from(other.ballots) < u128::from(other.sum) * u128::from(one.ballots)
        }
    };
    let scored = || options.iter().filter(|option| option.ballots > 0);
    let is_top = |option: &&OptionScore| !scored().any(|other| is_below(option, other));
    let winners = scored().filter(is_top).map(|option| option.id).collect();
    Scored { options, winners }
}

fn option_score(id: OptionId, given: &[u64; 256]) -> OptionScore {
    let distribution: Vec<_> = (0..=u8::MAX)
        .zip(given)
        .filter(|(_, ballots)| **ballots > 0)
        .map(|(score, ballots)| ScoreCount { score, ballots: *ballots })
        .collect();
    let ballots = distribution.iter().map(|count| count.ballots).sum();
    let sum = distribution.iter().map(|count| u64::from(count.score) * count.ballots).sum();
    OptionScore { id, ballots, sum, mean: mean(sum, ballots), distribution }
}

fn mean(sum: u64, ballots: u64) -> Option<f64> {
    let hundredths = (u128::from(sum) * 100 + u128::from(ballots) / 2).checked_div(u128::from(ballots))?;
    // A mean is at most 255, so this is exact to the last decimal.
    Some(hundredths as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::ids;
    use super::*;

    fn scored(scores: &[(u16, u8, u64)], rule: ScoreRule) -> Scored {
        let scores: Vec<_> = scores.iter().map(|(id, score, ballots)| (OptionId(*id), *score, *ballots)).collect();
        score(&ids(3), &scores, rule)
    }

    #[test]
    fn mean_and_sum_may_have_different_winners() {
        // Few like option 1 very much, many like option 2 fairly well.
        let scores = [(1, 5, 2), (2, 4, 6), (2, 3, 1), (2, 4, 1)];
        assert_eq!(scored(&scores, ScoreRule::Mean).winners, [OptionId(1)]);
        let by_sum = scored(&scores, ScoreRule::Sum);
        assert_eq!(by_sum.winners, [OptionId(2)]);
        let json = r#"{"options":[{"id":1,"ballots":2,"sum":10,"mean":5.0,"distribution":[{"score":5,"ballots":2}]},{"id":2,"ballots":8,"sum":31,"mean":3.88,"distribution":[{"score":3,"ballots":1},{"score":4,"ballots":7}]},{"id":3,"ballots":0,"sum":0,"mean":null,"distribution":[]}],"winners":[2]}"#;
        assert_eq!(serde_json::to_string(&by_sum).unwrap(), json);
    }

    #[test]
    fn only_exactly_equal_means_tie() {
        let tied = [(1, 1, 2), (1, 2, 1), (3, 1, 4), (3, 2, 2)];
        assert_eq!(scored(&tied, ScoreRule::Mean).winners, [OptionId(1), OptionId(3)]);
        // Means that no 64-bit float can distinguish: 1 + 1/n and 1 + 1/(n + 1).
        let n = 1 << 60;
        let close = scored(&[(1, 1, n), (1, 2, 1), (2, 1, n - 1), (2, 2, 1)], ScoreRule::Mean);
        assert_eq!(close.winners, [OptionId(2)]);
        assert_eq!(close.options[0].mean, close.options[1].mean);
    }

    #[test]
    fn options_without_ballots_never_win() {
        for rule in [ScoreRule::Mean, ScoreRule::Sum] {
            assert_eq!(scored(&[], rule).winners, []);
            assert_eq!(scored(&[(2, 0, 4), (3, 5, 0)], rule).winners, [OptionId(2)]);
            assert_eq!(scored(&[(2, 0, 4), (1, 0, 1), (9, 5, 1)], rule).winners, [OptionId(1), OptionId(2)]);
        }
    }

    proptest! {
        #[test]
        fn result_does_not_depend_on_the_order_of_scores(
            scores in proptest::collection::vec((1_u16..=3, 0_u8..=5, 0_u64..4), 0..12), mean in any::<bool>(),
        ) {
            let rule = if mean { ScoreRule::Mean } else { ScoreRule::Sum };
            let mut reversed = scores.clone();
            reversed.reverse();
            let result = scored(&scores, rule);
            prop_assert_eq!(&scored(&reversed, rule), &result);
            for option in &result.options {
                let given = || scores.iter().filter(|(id, _, _)| *id == option.id.0);
                prop_assert_eq!(option.ballots, given().map(|(_, _, ballots)| ballots).sum::<u64>());
                prop_assert_eq!(option.sum, given().map(|(_, score, ballots)| u64::from(*score) * ballots).sum::<u64>());
                let wins = result.winners.contains(&option.id);
                let value = |option: &OptionScore| if mean { option.sum as f64 / option.ballots as f64 } else { option.sum as f64 };
                let best = result.options.iter().filter(|option| option.ballots > 0).map(value).fold(0.0, f64::max);
                prop_assert_eq!(wins, option.ballots > 0 && (value(option) - best).abs() < 1e-9);
            }
        }
    }
}
