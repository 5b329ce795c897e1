//! Comparison of a ranked poll's options two by two.

use schemars::JsonSchema;
use serde::Serialize;

use super::profile::{Positions, Ranking};
use crate::ids::OptionId;

/// How many ballots prefer which option to which.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Pairwise {
    /// The options in the poll's order: those of the rows and columns.
    pub options: Vec<OptionId>,
    /// How many ballots prefer the row's option to the column's; 0 on the diagonal.
    pub matrix: Vec<Vec<u64>>,
    /// The option that more ballots prefer to each other option than the reverse, if there is one.
    pub condorcet_winner: Option<OptionId>,
}

/// Compares the options of rankings two by two. `options` are all options of the poll in its order; each ranking comes with its
/// number of ballots.
///
/// A ballot prefers an option to all that it ranks lower and to all that it doesn't rank; between two that it doesn't rank, it
/// prefers neither. These are the "winning votes" of the Condorcet methods, with unranked options in one last place, as in
/// PrefLib's and VoteKit's reading of incomplete rankings.
pub fn pairwise(options: &[OptionId], rankings: &[(Ranking, u64)]) -> Pairwise {
    let positions = Positions::new(options.iter().copied());
    let mut matrix = vec![vec![0; options.len()]; options.len()];
    // The ballots of a ranking, for each option that isn't ranked higher than the place in question.
    let mut lower = vec![0; options.len()];
    for (ranking, ballots) in rankings {
        lower.fill(*ballots);
        for preferred in positions.among(ranking) {
            lower[preferred] = 0;
            for (count, ballots) in matrix[preferred].iter_mut().zip(&lower) {
                *count += ballots;
            }
        }
    }
    let beats = |one: usize, other: usize| one == other || matrix[one][other] > matrix[other][one];
    let has_ballots = rankings.iter().any(|(_, ballots)| *ballots > 0);
    let all = 0..options.len();
    let winner = all.clone().find(|one| has_ballots && all.clone().all(|other| beats(*one, other)));
    Pairwise { options: options.to_vec(), condorcet_winner: winner.map(|option| options[option]), matrix }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::{election, ids, ranking};
    use super::*;

    #[test]
    fn tennessee_prefers_nashville() {
        // The example of Wikipedia's article on the Condorcet method: Memphis, Nashville, Chattanooga, Knoxville.
        let rankings = [
            (ranking(&[1, 2, 3, 4]), 42),
            (ranking(&[2, 3, 4, 1]), 26),
            (ranking(&[3, 4, 2, 1]), 15),
            (ranking(&[4, 3, 2, 1]), 17),
        ];
        let result = pairwise(&ids(4), &rankings);
        assert_eq!(result.matrix, [[0, 42, 42, 42], [58, 0, 68, 68], [58, 32, 0, 83], [58, 32, 17, 0]]);
        assert_eq!(result.condorcet_winner, Some(OptionId(2)));
    }

    #[test]
    fn circle_and_poll_without_ballots_have_no_winner() {
        let circle = [(ranking(&[1, 2, 3]), 1), (ranking(&[2, 3, 1]), 1), (ranking(&[3, 1, 2]), 1)];
        assert_eq!(pairwise(&ids(3), &circle).condorcet_winner, None);
        assert_eq!(pairwise(&ids(1), &[]).condorcet_winner, None);
        assert_eq!(pairwise(&[], &[]).condorcet_winner, None);
        assert_eq!(pairwise(&ids(1), &[(ranking(&[1]), 3)]).condorcet_winner, Some(OptionId(1)));
    }

    #[test]
    fn unranked_options_are_below_ranked_ones_and_equal_to_each_other() {
        let result = pairwise(&ids(3), &[(ranking(&[2]), 5)]);
        assert_eq!(result.matrix, [[0, 0, 0], [5, 0, 5], [0, 0, 0]]);
        let json = r#"{"options":[1,2,3],"matrix":[[0,0,0],[5,0,5],[0,0,0]],"condorcet_winner":2}"#;
        assert_eq!(serde_json::to_string(&result).unwrap(), json);
    }

    proptest! {
        #[test]
        fn matrix_counts_each_ballot_by_itself((options, rankings) in election()) {
            let result = pairwise(&options, &rankings);
            let place = |ranking: &Ranking, id| ranking.iter().position(|other| *other == id).unwrap_or(usize::MAX);
            for (row, one) in options.iter().enumerate() {
                for (column, other) in options.iter().enumerate() {
                    let prefer = rankings.iter().filter(|(ranking, _)| place(ranking, *one) < place(ranking, *other));
                    prop_assert_eq!(result.matrix[row][column], prefer.map(|(_, ballots)| ballots).sum::<u64>());
                }
            }
            let wins = |one: usize| (0..options.len()).all(|other| one == other || result.matrix[one][other] > result.matrix[other][one]);
            let winner = (0..options.len()).find(|one| wins(*one)).map(|one| options[one]);
            prop_assert_eq!(result.condorcet_winner, winner.filter(|_| rankings.iter().any(|(_, ballots)| *ballots > 0)));
        }
    }
}
