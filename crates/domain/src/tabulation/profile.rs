//! The rankings of a poll, and where its options are in its order.

use smallvec::SmallVec;

use crate::ids::OptionId;

/// A ranking: options, the most preferred one first. At least one, no option twice, all of the poll.
pub type Ranking = SmallVec<[OptionId; 8]>;

/// What is written of a ranked poll for other programs: a *preference profile*.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// The poll's title.
    pub title: &'a str,
    /// The options in the poll's order, each with its label.
    pub options: &'a [(OptionId, &'a str)],
    /// Rankings with their numbers of ballots, each ranking once. One without ballots is left out.
    pub rankings: &'a [(Ranking, u64)],
}

impl Profile<'_> {
    /// The rankings that have ballots: their numbers of ballots, and their options as numbers from 1 in the poll's order.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, impl Iterator<Item = usize>)> {
        let positions = Positions::new(self.options.iter().map(|(id, _)| *id));
        let with_ballots = self.rankings.iter().filter(|(_, ballots)| *ballots > 0);
        with_ballots.map(move |(ranking, ballots)| {
            let numbers: SmallVec<[usize; 8]> = positions.among(ranking).map(|position| position + 1).collect();
            (*ballots, numbers.into_iter())
        })
    }
}

/// The characters of a text that has to stay on one line: readers take any of Unicode's line breaks for the end of a line.
pub(super) fn on_one_line(text: &str) -> impl Iterator<Item = char> {
    let is_break = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    text.chars().map(move |c| if is_break(c) { ' ' } else { c })
}

/// Where each option is in the poll's order, from 0.
#[derive(Clone, Debug)]
pub(super) struct Positions(Vec<Option<u16>>);

impl Positions {
    /// The positions of these options.
    pub fn new(options: impl IntoIterator<Item = OptionId>) -> Self {
        let mut positions = Vec::new();
        for (position, option) in (0..).zip(options) {
            let id = usize::from(option.0);
            positions.resize(positions.len().max(id + 1), None);
            positions[id] = Some(position);
        }
        Self(positions)
    }

    /// The position of `option`; `None` if it isn't one of the poll.
    pub fn get(&self, option: OptionId) -> Option<usize> {
        self.0.get(usize::from(option.0)).copied().flatten().map(usize::from)
    }

    /// The positions of those options of a ranking that are in the poll.
    pub fn among<'a>(&'a self, ranking: &'a [OptionId]) -> impl Iterator<Item = usize> + 'a {
        ranking.iter().filter_map(|option| self.get(*option))
    }
}
