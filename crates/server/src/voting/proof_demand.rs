//! Whether a ballot needs a proof of work.

use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, Proof};

use crate::state::CoreState;

/// Whether a ballot that arrives at `now` needs a proof of work. Where the poll asks for one only while its votes look unusual,
/// that is as this node has seen them.
pub(super) fn is_proof_required(core: &CoreState, poll: &Poll, now: Timestamp) -> bool {
    match poll.proof {
        Proof::Never => false,
        Proof::Always => true,
        // A closed poll adds no ballot: one that was counted without a proof, and is sent again, gets the same response.
        Proof::Adaptive => core.app.anomalies.is_over(poll.id) && !poll.is_closed(now),
    }
}
