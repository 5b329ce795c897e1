//! Giving a challenge for a ballot that is to be cast.

use throng_domain::ballot::BallotId;
use throng_domain::poll::Poll;

use super::proof_of_work::{Challenge, ChallengeKey, Subject};
use super::{Refusal, Sender, voter};
use crate::state::CoreState;

/// The challenge for a ballot of this sender; `None` where the poll asks for no proof of work.
///
/// # Errors
/// Those of a voter who can't be identified: [`Refusal::CodeRequired`] and [`Refusal::CodeInvalid`] where the poll has codes;
/// [`Refusal::PollNotOpen`] if the poll appeared after the request was read.
pub fn challenge(
    core: &CoreState,
    poll: &Poll,
    sender: Sender,
    ballot_id: BallotId,
) -> Result<Option<Challenge>, Refusal> {
    if !poll.proof.is_required() {
        return Ok(None);
    }
    let now = core.app.clock.now();
    let voter = voter::identify(core, poll, sender, ballot_id, poll.arrival(now))?.map(|voter| voter.key);
    let key = ChallengeKey(&core.app.challenge_key);
    Ok(Some(key.challenge(Subject { poll, ballot_id, voter }, now)))
}
