//! What the clients of either load share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::findings::Findings;
use crate::request::VoteRequest;

/// What either load needs.
#[derive(Debug)]
pub(crate) struct RunContext {
    /// One vote request per option; clients use them in turn.
    pub(crate) requests: Vec<VoteRequest>,
    /// How long a vote may wait for its response.
    pub(crate) timeout: Duration,
    pub(crate) findings: Arc<Findings>,
}

impl RunContext {
    /// The request of the vote with this number, for the option whose turn it is; no other vote of the run has the number.
    pub(crate) fn request(&self, turn: u64, vote: u64) -> Cow<'_, [u8]> {
        let options = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        let request = usize::try_from(turn % options).ok().and_then(|index| self.requests.get(index));
        request.map_or(Cow::Borrowed(&[]), |request| request.bytes(vote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_voted_for_in_turn() {
        let requests = vec![VoteRequest::same(b"a".to_vec()), VoteRequest::same(b"b".to_vec())];
        let context = RunContext { requests, timeout: Duration::ZERO, findings: Arc::new(Findings::new()) };
        assert_eq!([0, 1, 2, u64::MAX].map(|n| context.request(n, n).to_vec()), [b"a", b"b", b"a", b"b"]);
    }
}
