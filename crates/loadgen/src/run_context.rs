//! What the clients of either load share.

use std::sync::Arc;
use std::time::Duration;

use crate::findings::Findings;

/// What either load needs.
#[derive(Debug)]
pub(crate) struct RunContext {
    /// One vote request per option; clients use them in turn.
    pub(crate) requests: Vec<Vec<u8>>,
    /// How long a vote may wait for its response.
    pub(crate) timeout: Duration,
    pub(crate) findings: Arc<Findings>,
}

impl RunContext {
    /// The `n`th vote's request.
    pub(crate) fn request(&self, n: u64) -> &[u8] {
        let options = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        usize::try_from(n % options).ok().and_then(|index| self.requests.get(index)).map_or(&[], |request| request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_voted_for_in_turn() {
        let requests = vec![b"a".to_vec(), b"b".to_vec()];
        let context = RunContext { requests, timeout: Duration::ZERO, findings: Arc::new(Findings::new()) };
        assert_eq!([0, 1, 2, u64::MAX].map(|n| context.request(n)), [b"a", b"b", b"a", b"b"]);
    }
}
