//! A poll's result at one moment, as it is sent.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollState;
use throng_domain::tally::Tallies;

/// A snapshot, shared by all who send it.
pub type SharedSnapshot = Arc<Snapshot>;

/// A poll's tallies as of one commit.
#[derive(Debug)]
pub struct Snapshot {
    /// The counts.
    pub tallies: Tallies,
    /// When they were known to be the last ones.
    pub as_of: Timestamp,
    /// The counts as the two original routes send them: `{"1":4,"2":0}`, ids ascending, every option present.
    pub original: Bytes,
}

impl Snapshot {
    /// The snapshot of `tallies`, read at `as_of`.
    pub fn new(tallies: Tallies, as_of: Timestamp) -> Self {
        let mut json = String::with_capacity(2 + tallies.counts.len() * 12);
        for (option, count) in &tallies.counts {
            let separator = if json.is_empty() { '{' } else { ',' };
            write!(json, "{separator}\"{option}\":{count}").expect("writing to a String can't fail");
        }
        json.push('}');
        Self { tallies, as_of, original: json.into() }
    }

    /// The snapshot of `tallies`, read at `as_of`: where this one counts the same, with its bytes.
    pub fn with(&self, tallies: Tallies, as_of: Timestamp) -> Self {
        if self.tallies == tallies {
            Self { tallies, as_of: as_of.max(self.as_of), original: self.original.clone() }
        } else {
            Self::new(tallies, as_of)
        }
    }

    /// Whether this takes the other's place: it is a later result, or the same one known to stand for longer.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.tallies.seq, self.as_of) > (other.tallies.seq, other.as_of)
    }
}

/// A result in the form of version 1, kept for as long as it is what would be made again.
#[derive(Debug)]
pub struct Rendered {
    /// What it was made from: the result's version, when that was known to be the latest, what the poll did, and
    /// whether the result was stale.
    pub kind: (u64, Timestamp, PollState, bool),
    /// The JSON.
    pub json: Bytes,
    /// Its entity tag, quotes included.
    pub etag: String,
}

#[cfg(test)]
mod tests {
    use throng_domain::poll::{OptionId, PollId};

    use super::*;

    #[test]
    fn the_original_form_has_every_option_in_order() {
        let counts = vec![(OptionId(1), 4), (OptionId(2), 0), (OptionId(10), 9)];
        let tallies = Tallies { poll: PollId(1), seq: 3, voters: 9, counts };
        assert_eq!(Snapshot::new(tallies, Timestamp(0)).original, r#"{"1":4,"2":0,"10":9}"#);
    }
}
