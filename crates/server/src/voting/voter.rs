//! Whose ballot a vote makes, by the poll's policy.

use throng_domain::ballot::{BallotId, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::policy::Policy;
use throng_domain::poll::Poll;

use super::policy::{Device, DeviceToken, PolicyKey, VoterToken, code_voter, network};
use super::{Refusal, Sender};
use crate::state::CoreState;

/// A voter, and the token by which the voter's device is recognized next time, if it is one.
#[derive(Debug)]
pub(super) struct Voter {
    pub(super) key: VoterKey,
    pub(super) token: Option<DeviceToken>,
}

/// The voter who sends the ballot with this id, which arrives at `accepted_at`; `None` where the poll identifies none. Whether the
/// poll has the voter's code isn't known yet.
///
/// # Errors
/// [`Refusal::PollNotOpen`] if the poll appeared after the request was read; with the policy `signed`, those of a token that is
/// missing or isn't valid, or can't be verified; with `code`, those of one that is missing, or can't be one.
pub(super) fn identify(
    core: &CoreState,
    poll: &Poll,
    sender: Sender,
    id: BallotId,
    accepted_at: Timestamp,
) -> Result<Option<Voter>, Refusal> {
    let key = PolicyKey(&core.app.policy_key);
    match (poll.policy, sender) {
        (Policy::Unlimited, _) => Ok(None),
        (Policy::Device, Sender::Device(device)) => {
            let device = device.unwrap_or_else(|| Device::of_ballot(key, poll.id, id));
            Ok(Some(Voter { key: device.voter(), token: Some(device.token()) }))
        }
        (Policy::Network, Sender::Network(address)) => {
            Ok(Some(Voter { key: network::voter(key, poll.id, address, accepted_at), token: None }))
        }
        (Policy::Signed, Sender::Signed(token)) => {
            let key = signed(core, poll, token.as_ref(), accepted_at)?;
            Ok(Some(Voter { key, token: None }))
        }
        (Policy::Code, Sender::Code(None)) => Err(Refusal::CodeRequired),
        (Policy::Code, Sender::Code(Some(code))) => {
            let code = code.map_err(|_| Refusal::CodeInvalid)?;
            Ok(Some(Voter { key: code_voter(key, poll.id, code), token: None }))
        }
        (Policy::Device | Policy::Network | Policy::Signed | Policy::Code, _) => Err(Refusal::PollNotOpen),
    }
}

/// The voter whom a token names. In a closed poll, which adds no ballot, it may have expired: a ballot that was counted and is sent
/// again gets the same response as before.
fn signed(
    core: &CoreState,
    poll: &Poll,
    token: Option<&VoterToken>,
    accepted_at: Timestamp,
) -> Result<VoterKey, Refusal> {
    let is_closed = poll.is_closed(accepted_at);
    let key = PolicyKey(&core.app.policy_key);
    let voter = match (token, &core.app.token_keys) {
        (_, None) => Err(Refusal::VoterKeysMissing),
        (None, Some(_)) => Err(Refusal::VoterTokenMissing),
        (Some(token), Some(keys)) => {
            token.voter(key, keys, poll, (!is_closed).then_some(accepted_at)).map_err(Refusal::VoterTokenInvalid)
        }
    };
    voter.map_err(|refusal| if is_closed { Refusal::PollClosed } else { refusal })
}
