//! Whose ballot a vote makes, by the poll's policy.

use throng_domain::ballot::{BallotId, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::policy::Policy;
use throng_domain::poll::Poll;

use super::policy::{Device, DeviceToken, PolicyKey, code_voter, network};
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
/// [`Refusal::CodeRequired`], or [`Refusal::CodeInvalid`] if what was sent can't be a code; [`Refusal::PollNotOpen`] if the poll
/// appeared after the request was read.
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
            Ok(Some(Voter { key: device.voter(key, poll.id), token: Some(device.token(key, poll.id)) }))
        }
        (Policy::Network, Sender::Network(address)) => {
            Ok(Some(Voter { key: network::voter(key, poll.id, address, accepted_at), token: None }))
        }
        (Policy::Code, Sender::Code(None)) => Err(Refusal::CodeRequired),
        (Policy::Code, Sender::Code(Some(code))) => {
            let code = code.map_err(|_| Refusal::CodeInvalid)?;
            Ok(Some(Voter { key: code_voter(key, poll.id, code), token: None }))
        }
        (Policy::Device, Sender::Anybody | Sender::Network(_) | Sender::Code(_))
        | (Policy::Network, Sender::Anybody | Sender::Device(_) | Sender::Code(_))
        | (Policy::Code, Sender::Anybody | Sender::Device(_) | Sender::Network(_)) => Err(Refusal::PollNotOpen),
    }
}
