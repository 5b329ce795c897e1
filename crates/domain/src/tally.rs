//! The counts of a poll's ballots.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::choices::{Choices, Form};
use crate::ids::{OptionId, PollId};
use crate::poll::{PercentBase, Poll};
use crate::tally_detail::TallyDetail;

/// A poll's counts at one point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tallies {
    /// The poll counted.
    pub poll: PollId,
    /// The result's version: increases with every change and never decreases.
    pub seq: u64,
    /// How many ballots were counted.
    pub voters: u64,
    /// Every option of the poll, ascending: how many ballots chose it or, in ranked polls, prefer it to all others; in score polls, the sum
    /// of its scores.
    pub counts: Vec<(OptionId, u64)>,
}

impl Tallies {
    /// The counts of a poll without ballots.
    pub fn empty(poll: &Poll) -> Self {
        let mut counts: Vec<_> = poll.options.iter().map(|option| (option.id, 0)).collect();
        counts.sort_unstable();
        Self { poll: poll.id, seq: 0, voters: 0, counts }
    }

    /// The count of `option`.
    pub fn count(&self, option: OptionId) -> u64 {
        self.counts.iter().find(|(id, _)| *id == option).map_or(0, |(_, count)| *count)
    }

    /// The sum of all counts: how many choices were made on all ballots together.
    pub fn selections(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Checks that a change adds to options of this poll only, and that no count falls below 0 with it.
    ///
    /// # Errors
    /// Why it can't be added.
    pub fn check_change(&self, change: &TallyChange) -> Result<(), String> {
        let falls_below_0 = |count: u64, added: i64| count.checked_add_signed(added).is_none();
        if falls_below_0(self.voters, change.voters) {
            return Err(format!("poll number {} would have fewer than 0 voters", self.poll.0));
        }
        for (option, added) in &change.counts {
            match self.counts.iter().find(|(id, _)| id == option) {
                None => return Err(format!("poll number {} has no option {}", self.poll.0, option.0)),
                Some((_, count)) if falls_below_0(*count, *added) => {
                    return Err(format!("option {} of poll number {} would fall below 0", option.0, self.poll.0));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether two results have the same counts, whatever their versions.
    pub fn counts_equal(&self, other: &Self) -> bool {
        self.poll == other.poll && self.voters == other.voters && self.counts == other.counts
    }

    /// Each option's share of `base` in percent, to one decimal, in the order of `counts`; 0 where the base is 0.
    ///
    /// Shares that make up the whole add up to exactly 100, by the largest remainder method (Hamilton): each is rounded down to
    /// a tenth, and the missing tenths are assigned to the largest remainders, among equal ones to the option that comes first.
    /// Shares that don't make up the whole, since a voter may choose several options, are each rounded half up.
    pub fn percents(&self, base: PercentBase) -> Vec<f64> {
        let selections = self.selections();
        let whole = match base {
            PercentBase::Voters => self.voters,
            PercentBase::Selections => selections,
        };
        let whole_u128 = u128::from(whole.max(1));
        let scaled = self.counts.iter().map(|(_, count)| u128::from(*count) * TENTHS);
        let tenths: Vec<u128> = if whole == selections {
            let (mut tenths, remainders): (Vec<_>, Vec<_>) =
                scaled.map(|share| (share / whole_u128, share % whole_u128)).unzip();
            let missing = if whole == 0 { 0 } else { TENTHS - tenths.iter().sum::<u128>() };
            let mut by_remainder: Vec<usize> = (0..tenths.len()).collect();
            by_remainder.sort_by_key(|position| std::cmp::Reverse(remainders[*position]));
            for position in by_remainder.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
                tenths[position] += 1;
            }
            tenths
        } else {
            scaled.map(|share| (share + whole_u128 / 2) / whole_u128).collect()
        };
        // A share is at most 1,000 tenths, so this is exact.
        tenths.into_iter().map(|tenths| tenths as f64 / 10.0).collect()
    }
}

/// A poll's counts with their details, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailedTallies {
    /// The counts.
    pub tallies: Tallies,
    /// Each detail that ballots have, and how many; none in a poll whose ballots choose options.
    pub details: Vec<(TallyDetail, u64)>,
}

/// A change of a poll's result: by new ballots, by a ballot that is replaced, withdrawn or voided, or a correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TallyChange {
    /// The poll.
    pub poll: PollId,
    /// How many voters are added; negative if removed.
    pub voters: i64,
    /// What is added to the counts, per option; negative if removed. Each option once.
    pub counts: Vec<(OptionId, i64)>,
    /// How many ballots with these details are added; negative if removed.
    pub details: BTreeMap<TallyDetail, i64>,
}

impl TallyChange {
    /// A change that adds nothing.
    pub fn none(poll: PollId) -> Self {
        Self { poll, voters: 0, counts: Vec::new(), details: BTreeMap::new() }
    }

    /// The change that turns one result's counts into another's, whatever their details.
    pub fn between(from: &Tallies, to: &Tallies) -> Self {
        Self {
            poll: from.poll,
            voters: to.voters.cast_signed().wrapping_sub(from.voters.cast_signed()),
            counts: Self::differences(&from.counts, &to.counts),
            details: BTreeMap::new(),
        }
    }

    /// What has to be added to the counts of `from` so that they become those of `to`.
    pub fn differences(from: &[(OptionId, u64)], to: &[(OptionId, u64)]) -> Vec<(OptionId, i64)> {
        let count = |counts: &[(OptionId, u64)], id| {
            counts.iter().find(|(option, _)| *option == id).map_or(0, |(_, count)| count.cast_signed())
        };
        let mut options: Vec<_> = from.iter().chain(to).map(|(option, _)| *option).collect();
        options.sort_unstable();
        options.dedup();
        let difference = |id| (id, count(to, id).wrapping_sub(count(from, id)));
        options.into_iter().map(difference).filter(|(_, difference)| *difference != 0).collect()
    }

    /// Adds one ballot; a blank one is no voter's vote.
    pub fn add(&mut self, choices: &Choices) {
        self.add_times(choices, 1);
    }

    /// Removes one ballot that was added.
    pub fn remove(&mut self, choices: &Choices) {
        self.add_times(choices, -1);
    }

    fn add_times(&mut self, choices: &Choices, times: i64) {
        self.voters += if choices.is_blank() { 0 } else { times };
        match choices.form() {
            Form::Chosen(options) => options.iter().for_each(|option| self.add_count(*option, times)),
            Form::Ranked(options) => options.iter().take(1).for_each(|option| self.add_count(*option, times)),
            Form::Scored(scores) => scores.iter().for_each(|(option, score)| {
                self.add_count(option, i64::from(score) * times);
            }),
        }
        for detail in TallyDetail::of(choices) {
            *self.details.entry(detail).or_default() += times;
        }
    }

    fn add_count(&mut self, option: OptionId, added: i64) {
        match self.counts.iter_mut().find(|(id, _)| *id == option) {
            Some((_, count)) => *count += added,
            None => self.counts.push((option, added)),
        }
    }

    /// By how much the change increases [`Tallies::seq`]: by one per added voter, and by at least one, also where no count
    /// changes.
    pub fn seq_increase(&self) -> i64 {
        self.voters.max(1)
    }
}

/// The whole, in tenths of a percent.
const TENTHS: u128 = 1_000;

/// One option's row in a result.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct OptionResult<'a> {
    /// The option.
    pub id: OptionId,
    /// The text shown to voters.
    pub label: &'a str,
    /// How many ballots chose it.
    pub count: u64,
    /// Its share, in percent to one decimal.
    pub percent: f64,
}

impl Poll {
    /// The rows of this poll's result, in the order in which the options are shown.
    pub fn option_results<'a>(&'a self, tallies: &Tallies) -> impl Iterator<Item = OptionResult<'a>> {
        let percents = tallies.percents(self.shares_of());
        self.options.iter().map(move |option| {
            let position = tallies.counts.iter().position(|(id, _)| *id == option.id);
            OptionResult {
                id: option.id,
                label: &option.label,
                count: position.map_or(0, |position| tallies.counts[position].1),
                percent: position.map_or(0.0, |position| percents[position]),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(voters: u64, counts: [u64; 3]) -> Tallies {
        let counts = (1..).map(OptionId).zip(counts).collect();
        Tallies { poll: PollId(1), seq: 1, voters, counts }
    }

    #[test]
    fn empty_result_is_zero_percent() {
        for base in [PercentBase::Voters, PercentBase::Selections] {
            assert_eq!(tallies(0, [0, 0, 0]).percents(base), [0.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn percentages_are_of_voters_or_of_selections() {
        let tallies = tallies(3, [3, 2, 1]);
        assert_eq!(tallies.percents(PercentBase::Voters), [100.0, 66.7, 33.3]);
        assert_eq!(tallies.percents(PercentBase::Selections), [50.0, 33.3, 16.7]);
    }

    #[test]
    fn shares_of_one_whole_add_up_to_a_hundred() {
        // Rounded one by one they would be 28.6, 28.6 and 42.9.
        assert_eq!(tallies(14, [4, 4, 6]).percents(PercentBase::Voters), [28.6, 28.6, 42.8]);
        // Rounded one by one they would be 33.3 each.
        assert_eq!(tallies(3, [1, 1, 1]).percents(PercentBase::Voters), [33.4, 33.3, 33.3]);
        assert_eq!(tallies(1, [0, 1, 0]).percents(PercentBase::Voters), [0.0, 100.0, 0.0]);
    }

    proptest::proptest! {
        #[test]
        fn shares_of_selections_add_up_and_keep_their_order(counts in proptest::array::uniform3(0..=u64::MAX / 4)) {
            let percents = tallies(0, counts).percents(PercentBase::Selections);
            let tenths: f64 = percents.iter().map(|percent| (percent * 10.0).round()).sum();
            proptest::prop_assert_eq!(tenths, if counts == [0; 3] { 0.0 } else { 1_000.0 });
            for (one, other) in [(0, 1), (1, 2), (0, 2)] {
                proptest::prop_assert!(counts[one] <= counts[other] || percents[one] >= percents[other]);
            }
        }
    }
}
