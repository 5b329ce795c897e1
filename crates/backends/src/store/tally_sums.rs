//! A poll's tallies, as they are added up from a database's rows.

use std::collections::BTreeMap;

use throng_domain::poll::{OptionId, PollId};
use throng_domain::tally::Tallies;
use throng_domain::tally_detail::TallyDetail;

/// The tally in which versions of Throng before 0004_result counted a poll's voters: no option has this id. Their processes
/// may still run, and add to it, while another one has migrated the schema.
const VOTERS_BEFORE_0004: OptionId = OptionId(0);

/// A poll's stored tallies, added up over all shards.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// The poll's own options.
    pub(super) options: Vec<OptionId>,
    /// The counts of those that have a tally.
    pub(super) counts: Vec<(OptionId, i64)>,
    pub(super) seq: i64,
    /// Without those of [`VOTERS_BEFORE_0004`]; so a correction may make it negative.
    pub(super) voters: i64,
}

impl Sums {
    /// The result; `None` if there is no such poll.
    ///
    /// # Errors
    /// If there is a tally of an option that the poll doesn't have, or a sum below 0.
    pub(super) fn tallies(mut self, poll: PollId) -> Result<Option<Tallies>, StrayTally> {
        let mut counts: Vec<_> = self.options.into_iter().map(|option| (option, 0)).collect();
        if counts.is_empty() {
            return Ok(None);
        }
        counts.sort_unstable();
        for (option, count) in self.counts {
            match counts.binary_search_by_key(&option, |(id, _)| *id) {
                Ok(index) => counts[index].1 += count,
                Err(_) if option == VOTERS_BEFORE_0004 => {
                    self.voters += count;
                    self.seq += count;
                }
                Err(_) => return Err(StrayTally { poll, option }),
            }
        }
        let natural = |option: OptionId, sum: i64| u64::try_from(sum).map_err(|_| StrayTally { poll, option });
        let counts = counts.into_iter().map(|(option, count)| Ok((option, natural(option, count)?)));
        Ok(Some(Tallies {
            poll,
            seq: natural(VOTERS_BEFORE_0004, self.seq)?,
            voters: natural(VOTERS_BEFORE_0004, self.voters)?,
            counts: counts.collect::<Result<_, _>>()?,
        }))
    }
}

/// The number of ballots with each detail, of rows that may have it several times, in shards; without those that no ballot has any more.
/// One that fewer than none have, which no sequence of changes results in, is found by a recount.
pub(super) fn detail_sums(rows: Vec<(TallyDetail, i64)>) -> Vec<(TallyDetail, u64)> {
    let mut sums: BTreeMap<TallyDetail, i64> = BTreeMap::new();
    for (detail, count) in rows {
        *sums.entry(detail).or_default() += count;
    }
    sums.into_iter()
        .filter_map(|(detail, sum)| Some((detail, u64::try_from(sum).ok().filter(|sum| *sum > 0)?)))
        .collect()
}

/// A tally for an option that the poll doesn't have, or with a sum below 0.
#[derive(Debug, thiserror::Error)]
#[error("poll {} has a tally for option {}, which it doesn't have, or with a sum below 0", .poll.0, .option.0)]
pub(super) struct StrayTally {
    poll: PollId,
    option: OptionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_tallies_add_up_with_those_of_earlier_versions() {
        let options = || vec![OptionId(2), OptionId(1)];
        let counts = vec![(OptionId(2), 1), (VOTERS_BEFORE_0004, 4), (OptionId(2), 5)];
        let sums = Sums { options: options(), counts, seq: 9, voters: 3 };
        let tallies = sums.tallies(PollId(1)).unwrap().unwrap();
        assert_eq!((tallies.seq, tallies.voters), (13, 7));
        assert_eq!(tallies.counts, [(OptionId(1), 0), (OptionId(2), 6)]);
        assert_eq!(Sums::default().tallies(PollId(1)).unwrap(), None);
        let corrected = Sums { options: options(), counts: vec![(VOTERS_BEFORE_0004, 9)], seq: 1, voters: -2 };
        let corrected = corrected.tallies(PollId(1)).unwrap().unwrap();
        assert_eq!((corrected.seq, corrected.voters), (10, 7));
        let negative = Sums { options: options(), voters: -1, ..Sums::default() };
        assert!(negative.tallies(PollId(1)).is_err());
        let stray = Sums { options: options(), counts: vec![(OptionId(3), 1)], ..Sums::default() };
        assert!(stray.tallies(PollId(1)).is_err());
    }
}
