//! Giving a challenge for a ballot that is to be cast.

use throng_domain::ballot::BallotId;
use throng_domain::poll::Poll;

use super::proof_demand::is_proof_required;
use super::proof_of_work::{Challenge, ChallengeKey, Subject};
use super::{Refusal, Sender, voter};
use crate::state::CoreState;

/// The challenge for a ballot of this sender; `None` where no proof of work is required now.
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
    let now = core.app.clock.now();
    if !is_proof_required(core, poll, now) {
        return Ok(None);
    }
    let voter = voter::identify(core, poll, sender, ballot_id, poll.arrival(now))?.map(|voter| voter.key);
    let key = ChallengeKey(&core.app.challenge_key);
    Ok(Some(key.challenge(Subject { poll, ballot_id, voter }, now)))
}
