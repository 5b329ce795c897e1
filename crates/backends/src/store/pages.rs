//! Pages of ballots in the order of their keys.

use throng_domain::ballot::Ballot;
use throng_domain::store::{BallotPage, Cursor};

/// The page of these ballots, of which at most `limit` were asked for: where there are fewer, it is the last one.
pub(super) fn page(ballots: Vec<Ballot>, limit: usize) -> BallotPage {
    let next = match ballots.last() {
        Some(last) if ballots.len() == limit => Some(Cursor { part: 0, last: last.key.0 }),
        Some(_) | None => None,
    };
    BallotPage { ballots, next }
}
