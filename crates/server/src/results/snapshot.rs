//! A poll's result at one time, in the form in which it is sent.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollState;
use throng_domain::tally::Tallies;

/// A snapshot, shared by all responses that contain it.
pub type SharedSnapshot = Arc<Snapshot>;

/// A poll's tallies as of one commit.
#[derive(Debug)]
pub struct Snapshot {
    /// The counts.
    pub tallies: Tallies,
    /// The last time at which they were known to be the latest.
    pub as_of: Timestamp,
    /// The counts as the two compatibility routes send them: `{"1":4,"2":0}`, ids ascending, every option present.
    pub compat: Bytes,
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
        Self { tallies, as_of, compat: json.into() }
    }

    /// The snapshot of `tallies`, read at `as_of`; it shares the bytes of this one if the tallies are the same.
    pub fn with(&self, tallies: Tallies, as_of: Timestamp) -> Self {
        if self.tallies == tallies {
            Self { tallies, as_of: as_of.max(self.as_of), compat: self.compat.clone() }
        } else {
            Self::new(tallies, as_of)
        }
    }

    /// Whether this replaces the other: it is a later result, or the same one known to be the latest at a later time.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.tallies.seq, self.as_of) > (other.tallies.seq, other.as_of)
    }
}

/// A result in the form of version 1 of the API, kept until rendering would produce a different one.
#[derive(Debug)]
pub struct Rendered {
    /// What it was rendered from: the result's version, the time at which that was known to be the latest, the poll's state,
    /// and whether the result was stale.
    pub kind: (u64, Timestamp, PollState, bool),
    /// The JSON.
    pub json: Bytes,
    /// Its entity tag, quotes included.
    pub etag: String,
}

impl Rendered {
    /// The JSON, to be a part of a larger one.
    pub fn raw_json(&self) -> &RawValue {
        serde_json::from_slice(&self.json).expect("it was rendered as JSON")
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::poll::{OptionId, PollId};

    use super::*;

    #[test]
    fn compat_json_has_every_option_in_order() {
        let counts = vec![(OptionId(1), 4), (OptionId(2), 0), (OptionId(10), 9)];
        let tallies = Tallies { poll: PollId(1), seq: 3, voters: 9, counts };
        assert_eq!(Snapshot::new(tallies, Timestamp(0)).compat, r#"{"1":4,"2":0,"10":9}"#);
    }
}
