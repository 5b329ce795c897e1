//! Whether a ballot's code counts in its poll.

use throng_domain::ballot::Ballot;

use super::Refusal;
use crate::intake::SubmitError;
use crate::state::{CoreState, Dependency};

/// Refuses a ballot whose code is unknown or revoked. Behind a broker too: workers record whatever a node has accepted.
///
/// # Errors
/// [`Refusal::CodeInvalid`]; [`Refusal::Overloaded`] or [`Refusal::Unavailable`] if the code can't be checked.
pub(super) async fn require_valid(core: &CoreState, ballot: &Ballot) -> Result<(), Refusal> {
    match core.app.code_checks.is_valid(ballot.poll, ballot.key.voter()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::CodeInvalid),
        Err(SubmitError::Busy) => Err(Refusal::Overloaded),
        // Nothing is submitted yet, so no outcome is unknown.
        Err(SubmitError::Unavailable | SubmitError::Unknown) => Err(Refusal::Unavailable(Dependency::Store)),
    }
}
