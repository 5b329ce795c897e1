//! The rankings of a poll, and where its options are in its order.

use smallvec::SmallVec;

use crate::ids::OptionId;

/// A ranking: options, the most preferred one first. At least one, no option twice, all of the poll.
pub type Ranking = SmallVec<[OptionId; 8]>;

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
