//! Instant-runoff voting.

use super::profile::{Positions, Ranking};
use super::rule::{RankedRule, TieBreak};
use super::run_off::{BrokenTie, OptionCount, Round, RunOff};
use crate::ids::OptionId;

/// Counts rankings by instant-runoff voting. `options` are all options of the poll in its order; each ranking comes with its
/// number of ballots.
///
/// In each round a ballot counts for the option that it ranks highest among those not yet eliminated, or is exhausted. An option
/// with more than half of the ballots that count wins; otherwise the lowest option is eliminated. This is RCTab's
/// `singleWinnerMajority`, whose threshold falls as ballots are exhausted. As in RCTab 2, a tie between the last two options
/// determines the winner at once, so that no round has a single option unless the poll has.
pub fn instant_runoff(options: &[OptionId], rankings: &[(Ranking, u64)], rule: &RankedRule) -> RunOff {
    let mut count = Count::new(options, rankings);
    let mut winner = None;
    let mut rounds = Vec::new();
    loop {
        let continuing = count.continuing();
        let counting: u64 = continuing.iter().map(|option| count.votes[*option]).sum();
        winner = winner.or_else(|| continuing.iter().copied().find(|option| count.votes[*option] > counting / 2));
        let mut tie_broken = None;
        let is_last = match winner {
            _ if counting == 0 => true,
            Some(_) => !rule.until_two || continuing.len() <= 2,
            None => {
                if let [first, second] = continuing[..] {
                    // Without a majority, each has exactly half.
                    let (loser, tie) = count.break_tie(&continuing, rule.tie_break);
                    winner = Some(if loser == first { second } else { first });
                    tie_broken = Some(tie);
                }
                winner.is_some()
            }
        };
        let eliminated = if is_last { Vec::new() } else { count.lowest(&continuing, rule, &mut tie_broken) };
        rounds.push(Round {
            round: count.number(),
            counts: continuing.iter().map(|o| OptionCount { id: options[*o], count: count.votes[*o] }).collect(),
            exhausted: count.exhausted,
            eliminated: count.ids(&eliminated),
            tie_broken,
        });
        if is_last {
            return RunOff { rounds, winner: winner.map(|option| options[option]) };
        }
        count.eliminate(&eliminated);
    }
}

/// A count under way. Options are positions in the poll's order, rankings are indices.
struct Count<'a> {
    options: &'a [OptionId],
    rankings: &'a [(Ranking, u64)],
    positions: Positions,
    is_continuing: Vec<bool>,
    /// The ballots that count for each option.
    votes: Vec<u64>,
    exhausted: u64,
    /// The rankings that count for each option.
    piles: Vec<Vec<u32>>,
    /// How far each ranking has been used up: the place of the option that it counts for.
    places: Vec<u16>,
    /// The votes in the rounds before this one.
    earlier: Vec<Vec<u64>>,
}

impl<'a> Count<'a> {
    fn new(options: &'a [OptionId], rankings: &'a [(Ranking, u64)]) -> Self {
        let mut count = Self {
            options,
            rankings,
            positions: Positions::new(options.iter().copied()),
            is_continuing: vec![true; options.len()],
            votes: vec![0; options.len()],
            exhausted: 0,
            piles: vec![Vec::new(); options.len()],
            places: vec![0; rankings.len()],
            earlier: Vec::new(),
        };
        for (ranking, _) in (0..).zip(rankings) {
            count.assign(ranking);
        }
        count
    }

    /// Counts a ranking for the first continuing option from its place on.
    fn assign(&mut self, ranking: u32) {
        let index = ranking as usize;
        let (options, ballots) = &self.rankings[index];
        let rest = (self.places[index]..).zip(options.iter().skip(usize::from(self.places[index])));
        let mut continuing = rest.filter_map(|(place, id)| {
            self.positions.get(*id).filter(|option| self.is_continuing[*option]).map(|option| (place, option))
        });
        match continuing.next() {
            Some((place, option)) => {
                self.places[index] = place;
                self.votes[option] += ballots;
                self.piles[option].push(ranking);
            }
            None => self.exhausted += ballots,
        }
    }

    fn eliminate(&mut self, eliminated: &[usize]) {
        self.earlier.push(self.votes.clone());
        for option in eliminated {
            self.is_continuing[*option] = false;
        }
        for option in eliminated {
            for ranking in std::mem::take(&mut self.piles[*option]) {
                self.assign(ranking);
            }
        }
    }

    /// The options that this round eliminates, of three or more.
    fn lowest(&self, continuing: &[usize], rule: &RankedRule, tie_broken: &mut Option<BrokenTie>) -> Vec<usize> {
        let mut ascending: Vec<usize> = continuing.iter().rev().copied().collect();
        ascending.sort_by_key(|option| self.votes[*option]);
        let batch = if rule.batch_elimination { self.batch(&ascending, rule.until_two) } else { 0 };
        if batch > 0 {
            ascending.truncate(batch);
            return ascending;
        }
        let fewest = self.votes[ascending[0]];
        let tied: Vec<usize> = continuing.iter().copied().filter(|option| self.votes[*option] == fewest).collect();
        if let [only] = tied[..] {
            return vec![only];
        }
        let (loser, tie) = self.break_tie(&tied, rule.tie_break);
        *tie_broken = Some(tie);
        vec![loser]
    }

    /// How many of the lowest options have fewer votes together than the next one.
    fn batch(&self, ascending: &[usize], until_two: bool) -> usize {
        let (mut together, mut largest) = (0, 0);
        for (lower, option) in ascending.iter().enumerate() {
            let leaves = ascending.len() - lower;
            if together < self.votes[*option] && (leaves >= 2 || !until_two) {
                largest = lower;
            }
            together += self.votes[*option];
        }
        largest
    }

    /// Which of the tied options, given in the poll's order, loses.
    fn break_tie(&self, tied: &[usize], tie_break: TieBreak) -> (usize, BrokenTie) {
        let mut lowest = tied.to_vec();
        let earlier = match tie_break {
            TieBreak::OptionOrder => &[],
            TieBreak::PreviousRounds => &self.earlier[..],
        };
        let decided = (1..self.number()).zip(earlier).rev().find_map(|(round, votes)| {
            let fewest = lowest.iter().map(|option| votes[*option]).min();
            lowest.retain(|option| Some(votes[*option]) == fewest);
            (lowest.len() == 1).then_some(round)
        });
        let by = if decided.is_some() { TieBreak::PreviousRounds } else { TieBreak::OptionOrder };
        let loser = *lowest.last().expect("a tie is between options, and the lowest of them remain");
        (loser, BrokenTie { tied: self.ids(tied), by, round: decided })
    }

    /// The options that aren't eliminated, in the poll's order.
    fn continuing(&self) -> Vec<usize> {
        (0..self.options.len()).filter(|option| self.is_continuing[*option]).collect()
    }

    /// The number of this round.
    fn number(&self) -> u32 {
        u32::try_from(self.earlier.len() + 1).expect("each round before this one has eliminated one of 65,536 options")
    }

    fn ids(&self, options: &[usize]) -> Vec<OptionId> {
        options.iter().map(|option| self.options[*option]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{ids, ranking};
    use super::*;

    const PLAIN: RankedRule =
        RankedRule { tie_break: TieBreak::OptionOrder, batch_elimination: false, until_two: false };

    fn count(options: u16, rankings: &[(&[u16], u64)], rule: RankedRule) -> RunOff {
        let rankings: Vec<_> = rankings.iter().map(|(options, ballots)| (ranking(options), *ballots)).collect();
        instant_runoff(&ids(options), &rankings, &rule)
    }

    fn eliminated(result: &RunOff) -> Vec<Vec<u16>> {
        result.rounds.iter().map(|round| round.eliminated.iter().map(|id| id.0).collect()).collect()
    }

    /// What broke the tie of each round.
    fn broken(result: &RunOff) -> Vec<Option<(TieBreak, Option<u32>)>> {
        result.rounds.iter().map(|round| round.tie_broken.as_ref().map(|tie| (tie.by, tie.round))).collect()
    }

    #[test]
    fn tennessee_elects_knoxville() {
        // The example of Wikipedia's article on instant-runoff voting: Memphis, Nashville, Chattanooga, Knoxville.
        let rankings: [(&[u16], u64); 4] =
            [(&[1, 2, 3, 4], 42), (&[2, 3, 4, 1], 26), (&[3, 4, 2, 1], 15), (&[4, 3, 2, 1], 17)];
        let json = concat!(
            r#"{"rounds":[{"round":1,"counts":[{"id":1,"count":42},{"id":2,"count":26},{"id":3,"count":15},{"id":4,"count":17}],"#,
            r#""exhausted":0,"eliminated":[3],"tie_broken":null},"#,
            r#"{"round":2,"counts":[{"id":1,"count":42},{"id":2,"count":26},{"id":4,"count":32}],"#,
            r#""exhausted":0,"eliminated":[2],"tie_broken":null},"#,
            r#"{"round":3,"counts":[{"id":1,"count":42},{"id":4,"count":58}],"exhausted":0,"eliminated":[],"tie_broken":null}],"#,
            r#""winner":4}"#,
        );
        assert_eq!(serde_json::to_string(&count(4, &rankings, PLAIN)).unwrap(), json);
    }

    #[test]
    fn majority_is_of_the_ballots_that_still_count() {
        // 4 of 10 ballots, but of the 7 that aren't exhausted after option 3 is out.
        let rankings: [(&[u16], u64); 3] = [(&[1], 4), (&[2], 3), (&[3], 3)];
        let result = count(3, &rankings, PLAIN);
        assert_eq!((result.winner, result.rounds.len()), (Some(OptionId(1)), 2));
        assert_eq!(result.rounds[1].exhausted, 3);
        // Exactly half is no majority.
        let half: [(&[u16], u64); 3] = [(&[1], 2), (&[2], 1), (&[3, 2], 1)];
        assert_eq!(count(3, &half, PLAIN).rounds.len(), 2);
    }

    #[test]
    fn order_of_options_breaks_ties() {
        let rankings: [(&[u16], u64); 3] = [(&[1], 3), (&[2], 1), (&[3, 2], 1)];
        let result = count(3, &rankings, PLAIN);
        assert_eq!(result.winner, Some(OptionId(1)));
        let rankings: [(&[u16], u64); 3] = [(&[1], 2), (&[2], 1), (&[3, 2], 1)];
        let result = count(3, &rankings, PLAIN);
        assert_eq!((eliminated(&result), result.winner), (vec![vec![3], vec![]], Some(OptionId(1))));
        let tie = result.rounds[1].tie_broken.as_ref().unwrap();
        assert_eq!(serde_json::to_string(tie).unwrap(), r#"{"tied":[1,2],"by":"option_order"}"#, "the last two");
        let order: Vec<_> = ids(3).into_iter().rev().collect();
        let rankings: Vec<_> = rankings.iter().map(|(options, ballots)| (ranking(options), *ballots)).collect();
        let reversed = instant_runoff(&order, &rankings, &PLAIN);
        assert_eq!((eliminated(&reversed), reversed.winner), (vec![vec![2], vec![]], Some(OptionId(1))));
    }

    #[test]
    fn latest_round_in_which_tied_options_differ_breaks_ties() {
        // Round 1: 6, 5, 4, 3, 2. Rounds 2 and 3: option 5 gives its 2 to option 3, option 4 its 3 to option 2 (1) and none (2).
        let rankings: [(&[u16], u64); 6] = [(&[1], 6), (&[2], 5), (&[3], 4), (&[4, 2], 1), (&[4], 2), (&[5, 3], 2)];
        let previous = RankedRule { tie_break: TieBreak::PreviousRounds, ..PLAIN };
        let result = count(5, &rankings, previous);
        // In round 3 all have 6. In round 2 they had 6, 5 and 6, so option 2 is eliminated.
        assert_eq!(eliminated(&result), [vec![5], vec![4], vec![2], vec![]]);
        let by = TieBreak::PreviousRounds;
        // Then 6 to 6 again: round 3 and 2 are equal, round 1 was 6 to 4.
        assert_eq!(broken(&result), [None, None, Some((by, Some(2))), Some((by, Some(1)))]);
        assert_eq!(result.winner, Some(OptionId(1)));
        assert_eq!(eliminated(&count(5, &rankings, PLAIN)), [vec![5], vec![4], vec![3], vec![]]);
        // Equal in all rounds: the order of options.
        let equal: [(&[u16], u64); 3] = [(&[1], 2), (&[2], 2), (&[3], 1)];
        let result = count(3, &equal, previous);
        assert_eq!(broken(&result), [None, Some((TieBreak::OptionOrder, None))]);
        assert_eq!(result.winner, Some(OptionId(1)));
    }

    #[test]
    fn batch_is_the_largest_set_that_cannot_reach_the_next_option() {
        let batch = RankedRule { batch_elimination: true, ..PLAIN };
        // 1 + 2 + 3 = 6 is below 7; 6 + 7 isn't below 9.
        let rankings: [(&[u16], u64); 5] = [(&[1], 9), (&[2], 7), (&[3, 2], 3), (&[4, 2], 2), (&[5, 2], 1)];
        let result = count(5, &rankings, batch);
        assert_eq!((eliminated(&result), result.winner), (vec![vec![5, 4, 3], vec![]], Some(OptionId(2))));
        // 3 + 3 = 6 isn't below 6: a single option, by the tie-break.
        let rankings: [(&[u16], u64); 4] = [(&[1], 7), (&[2], 6), (&[3, 2], 3), (&[4, 2], 3)];
        let result = count(4, &rankings, batch);
        assert_eq!(eliminated(&result)[0], [4]);
        assert!(result.rounds[0].tie_broken.is_some());
        // Options without a ballot go at once; 2 isn't below 2.
        let result = count(6, &[(&[1], 3), (&[2], 2), (&[3], 2)], batch);
        assert_eq!(eliminated(&result), [vec![6, 5, 4], vec![3], vec![]]);
    }

    #[test]
    fn batch_leaves_fewer_rounds_to_break_a_tie_by() {
        // Options 1 and 2 have 11 each once 3 and 4 are out. Before, they had 10 and 9; between, without a batch, 10 and 11.
        let rankings: [(&[u16], u64); 6] = [(&[1], 10), (&[2], 9), (&[3, 1], 1), (&[3], 2), (&[4, 2], 2), (&[5], 12)];
        let previous = RankedRule { tie_break: TieBreak::PreviousRounds, ..PLAIN };
        let single = count(5, &rankings, previous);
        assert_eq!(eliminated(&single), [vec![4], vec![3], vec![1], vec![]]);
        let batch = count(5, &rankings, RankedRule { batch_elimination: true, ..previous });
        assert_eq!(eliminated(&batch), [vec![4, 3], vec![2], vec![]]);
    }

    #[test]
    fn rounds_go_on_until_two_options_are_left() {
        let rankings: [(&[u16], u64); 4] = [(&[1], 10), (&[2], 3), (&[3, 2], 2), (&[4, 3], 2)];
        let result = count(4, &rankings, RankedRule { until_two: true, ..PLAIN });
        assert_eq!((eliminated(&result), result.winner), (vec![vec![4], vec![2], vec![]], Some(OptionId(1))));
        // A batch would leave the winner alone: 2 + 2 + 3 is below 10. The next smaller one is too large for option 2.
        let batch = RankedRule { until_two: true, batch_elimination: true, ..PLAIN };
        assert_eq!(eliminated(&count(4, &rankings, batch)), [vec![4], vec![2], vec![]]);
        let rankings: [(&[u16], u64); 4] = [(&[1], 10), (&[2], 5), (&[3, 2], 2), (&[4, 3], 2)];
        assert_eq!(eliminated(&count(4, &rankings, batch)), [vec![4, 3], vec![]]);
    }

    #[test]
    fn poll_without_ballots_has_one_round_and_no_winner() {
        for rule in [PLAIN, RankedRule { until_two: true, batch_elimination: true, ..PLAIN }] {
            let result = count(3, &[(&[1], 0)], rule);
            assert_eq!((result.winner, eliminated(&result)), (None, vec![vec![]]));
            assert_eq!(instant_runoff(&[], &[], &rule).winner, None);
            assert_eq!(count(1, &[(&[1], 1)], rule).winner, Some(OptionId(1)));
            // An option that the poll doesn't have is passed over.
            assert_eq!(count(2, &[(&[9, 2], 1), (&[9], 1)], rule).winner, Some(OptionId(2)));
        }
    }
}
