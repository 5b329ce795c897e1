//! What a poll's ballots add up to.

use serde::Serialize;

use crate::ballot::Choices;
use crate::poll::{OptionId, PercentBase, Poll, PollId};

/// A poll's counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tallies {
    /// The poll counted.
    pub poll: PollId,
    /// The result's version: grows with every change and never goes back.
    pub seq: u64,
    /// How many ballots were counted.
    pub voters: u64,
    /// How many ballots chose each option: every option of the poll, ascending.
    pub counts: Vec<(OptionId, u64)>,
}

impl Tallies {
    /// The counts of a poll without ballots.
    pub fn empty(poll: &Poll) -> Self {
        let mut counts: Vec<_> = poll.options.iter().map(|option| (option.id, 0)).collect();
        counts.sort_unstable();
        Self { poll: poll.id, seq: 0, voters: 0, counts }
    }

    /// How many ballots chose `option`.
    pub fn count(&self, option: OptionId) -> u64 {
        self.counts.iter().find(|(id, _)| *id == option).map_or(0, |(_, count)| *count)
    }

    /// How many choices were made on all ballots together.
    pub fn selections(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Adds one ballot. The version is left alone: it counts changes of the stored result, not ballots.
    pub fn add(&mut self, choices: &Choices) {
        self.voters += 1;
        for chosen in choices.as_slice() {
            match self.counts.iter_mut().find(|(id, _)| id == chosen) {
                Some((_, count)) => *count += 1,
                None => self.counts.push((*chosen, 1)),
            }
        }
    }

    /// Whether two results count the same, whatever their versions.
    pub fn counts_equal(&self, other: &Self) -> bool {
        self.poll == other.poll && self.voters == other.voters && self.counts == other.counts
    }

    /// `option`'s share in percent, to one decimal, rounded half up; 0 where there is nothing to be a part of.
    pub fn percent(&self, option: OptionId, base: PercentBase) -> f64 {
        let whole = match base {
            PercentBase::Voters => self.voters,
            PercentBase::Selections => self.selections(),
        };
        if whole == 0 {
            return 0.0;
        }
        let tenths = (u128::from(self.count(option)) * 1_000 + u128::from(whole) / 2) / u128::from(whole);
        // A share is at most 1,000 tenths, so this is exact.
        tenths as f64 / 10.0
    }
}

/// One option's line in a result.
#[derive(Clone, Debug, Serialize)]
pub struct OptionResult<'a> {
    /// The option.
    pub id: OptionId,
    /// What the voter reads.
    pub label: &'a str,
    /// How many ballots chose it.
    pub count: u64,
    /// Its share, in percent to one decimal.
    pub percent: f64,
}

impl Poll {
    /// The lines of this poll's result, in the order the options are shown.
    pub fn option_results<'a>(&'a self, tallies: &'a Tallies) -> impl Iterator<Item = OptionResult<'a>> {
        self.options.iter().map(|option| OptionResult {
            id: option.id,
            label: &option.label,
            count: tallies.count(option.id),
            percent: tallies.percent(option.id, self.percent_base),
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
    fn nothing_is_zero_percent() {
        assert_eq!(tallies(0, [0, 0, 0]).percent(OptionId(1), PercentBase::Voters), 0.0);
    }

    #[test]
    fn percentages_are_of_voters_or_of_selections() {
        let tallies = tallies(3, [3, 2, 1]);
        let percent = |base| [1, 2, 3].map(|id| tallies.percent(OptionId(id), base));
        assert_eq!(percent(PercentBase::Voters), [100.0, 66.7, 33.3]);
        assert_eq!(percent(PercentBase::Selections), [50.0, 33.3, 16.7]);
    }
}
