//! From a vote to a ballot that counts.

use std::net::IpAddr;

use bytes::Bytes;
use futures_util::future::{self, Either, FutureExt as _};
use throng_domain::ballot::{Ballot, BallotId, Choices, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::policy::Policy;
use throng_domain::poll::{Poll, PollId, PollState, Proof, Viewer};
use throng_domain::store::Outcome;
use throng_domain::submission::SentChoices;

use super::policy::DeviceToken;
use super::proof_demand::is_proof_required;
use super::proof_of_work::{self, ChallengeKey, Subject, Unproven};
use super::receipt::Receipt;
use super::rehearsal::RehearsalPass;
use super::voter::Voter;
use super::{Earlier, Refusal, Sender, code, voter};
use crate::anomaly::{Sighting, VoteKind, is_scored};
use crate::intake::{Disposition, SubmitError, Submitted};
use crate::state::{CoreState, Dependency};

/// A vote as a route has parsed it.
#[derive(Debug)]
pub struct Vote {
    /// What it says of the options, not yet checked against the poll.
    pub choices: SentChoices,
    /// The ballot's id, if the client sent one. A ballot with an id counts once however often it is sent.
    pub ballot_id: Option<BallotId>,
    /// The proof of work that came with it, unchecked.
    pub proof: Option<String>,
    /// What becomes of a vote without an id.
    pub missing_id: MissingId,
    /// What a load run in a rehearsal came with.
    pub pass: Option<RehearsalPass>,
    /// Who sent it.
    pub sender: Sender,
    /// The address that it was sent from, where the poll's votes are scored and it is known.
    pub address: Option<IpAddr>,
}

/// What becomes of a vote without a ballot id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingId {
    /// The server generates one: sent again, the vote is another ballot.
    Generate,
    /// It is refused.
    Refuse,
}

/// A ballot that counts.
#[derive(Debug)]
pub struct Cast {
    /// Its id, as sent or generated.
    pub ballot_id: BallotId,
    /// What it chose.
    pub choices: Choices,
    /// When it arrived, by the clock that opens and closes polls.
    pub accepted_at: Timestamp,
    /// Whether it is counted already.
    pub status: Status,
    /// What proves that it was accepted.
    pub receipt: Receipt,
    /// The token by which the poll recognizes the device next time; `None` if its policy isn't `device`.
    pub token: Option<DeviceToken>,
    /// Whether its voter may see the poll's result now.
    pub shows_results: bool,
    /// The poll's counts as the compatibility routes send them; with this ballot, if it is counted already.
    pub compat_result: Bytes,
}

/// How far a ballot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Counted: the latest result includes it.
    Counted,
    /// Counted before, until its voter replaced or withdrew it.
    Outdated,
    /// Durable at the broker, from which a worker will count it.
    Accepted,
}

/// Makes a ballot of `vote`, which arrives now, and submits it to the core's ballot queue.
///
/// The ballot is made and submitted by the call, so neither it nor `poll` is held while it waits; it is recorded even if the future
/// is dropped. Only where the poll has invitation codes is the ballot's checked first, while the future is polled; if that is dropped
/// meanwhile, nothing is submitted.
///
/// # Errors
/// The [`Refusal`].
pub fn cast<'a>(core: &'a CoreState, poll: &Poll, vote: Vote) -> impl Future<Output = Result<Cast, Refusal>> + use<'a> {
    let now = core.app.clock.now();
    let shows_results = poll.shows_results(Viewer::Voter, now);
    let (ballot, token) = match ballot(core, poll, vote, now) {
        Ok(made) => made,
        Err(refusal) => return Either::Left(future::ready(Err(refusal))),
    };
    let (ballot_id, choices, receipt) = (ballot.id, ballot.choices.clone(), Receipt::of(&ballot));
    let submitted = match ballot.policy {
        Policy::Code => Either::Left(Box::pin(submit_with_valid_code(core, ballot))),
        Policy::Unlimited | Policy::Device | Policy::Network | Policy::Signed => Either::Right(submit(core, ballot)),
    };
    Either::Right(submitted.map(move |submitted| {
        let (status, compat_result) = submitted.inspect_err(|refusal| note_duplicate(core, receipt.poll, refusal))?;
        Ok(Cast { ballot_id, choices, accepted_at: now, status, receipt, token, shows_results, compat_result })
    }))
}

async fn submit_with_valid_code(core: &CoreState, ballot: Ballot) -> Result<(Status, Bytes), Refusal> {
    code::require_valid(core, &ballot).await?;
    submit(core, ballot).await
}

/// Submits a ballot, by the call; the future returns how far it is, and the poll's counts as the compatibility routes send them.
///
/// # Errors
/// The [`Refusal`].
pub(super) fn submit(
    core: &CoreState,
    ballot: Ballot,
) -> impl Future<Output = Result<(Status, Bytes), Refusal>> + use<'_> {
    let (id, policy) = (ballot.id, ballot.policy);
    core.ballot_queue.submit(ballot).map(move |submitted| {
        let Submitted { disposition, result } = submitted.map_err(|error| refusal(core, id, error))?;
        Ok((status(disposition, policy)?, result))
    })
}

/// The ballot, if the poll accepts it now, and the token of the device that it is of, if it is of one.
fn ballot(core: &CoreState, poll: &Poll, vote: Vote, now: Timestamp) -> Result<(Ballot, Option<DeviceToken>), Refusal> {
    if poll.rehearsal && !vote.pass.is_some_and(|pass| pass.is_for(poll)) {
        return Err(Refusal::Rehearsal);
    }
    let choices = poll.choices(vote.choices)?;
    refuse_outside_window(core, poll, now)?;
    let needs_proof = is_proof_required(core, poll, now);
    let id = match (vote.ballot_id, vote.missing_id) {
        (Some(id), _) => id,
        // A vote without an id can't have been recorded before the close.
        (None, _) if poll.is_closed(now) => return Err(Refusal::PollClosed),
        // A proof is for a ballot with an id.
        (None, _) if needs_proof => {
            note(core, poll, VoteKind::Unproven, (vote.address, None), &choices);
            return Err(Refusal::ProofRequired { challenge: None });
        }
        (None, MissingId::Generate) => core.app.next_ballot_id(now),
        (None, MissingId::Refuse) => return Err(Refusal::BallotIdMissing),
    };
    let accepted_at = poll.arrival(now);
    let voter = voter::identify(core, poll, vote.sender, id, accepted_at)?;
    let key = voter.as_ref().map(|voter| voter.key);
    let subject = Subject { poll, ballot_id: id, voter: key };
    let require = || proof_of_work::require(challenge_key(core), subject, vote.proof.as_deref(), now);
    // One that isn't needed any more was needed when its client was refused: the score takes it into account.
    let is_checked = needs_proof || (vote.proof.is_some() && poll.proof != Proof::Never);
    let proven = is_checked.then(require).filter(|proven| needs_proof || proven.is_ok());
    note(core, poll, kind(proven), (vote.address, key), &choices);
    proven.unwrap_or(Ok(())).map_err(|unproven| unproven_refusal(core, subject, unproven, now))?;
    Ok(match voter {
        Some(Voter { key, token }) => (Ballot::of_voter(poll.id, poll.policy, key, id, choices, accepted_at), token),
        None => (Ballot::unlimited(poll.id, id, choices, accepted_at), None),
    })
}

/// `proven` says whether a proof is valid; `None` where none was needed or sent.
fn kind(proven: Option<Result<(), Unproven>>) -> VoteKind {
    match proven {
        Some(Ok(())) => VoteKind::Proven,
        None | Some(Err(Unproven::Closed)) => VoteKind::Plain,
        Some(Err(Unproven::Missing)) => VoteKind::Unproven,
        Some(Err(Unproven::Invalid)) => VoteKind::Forged,
    }
}

/// The refusal of a ballot for want of a proof, with a challenge for it: so a client needs no other request, which another node
/// might respond to that doesn't require a proof.
fn unproven_refusal(core: &CoreState, subject: Subject<'_>, unproven: Unproven, now: Timestamp) -> Refusal {
    let challenge = || challenge_key(core).challenge(subject, now).text;
    match unproven {
        Unproven::Missing => Refusal::ProofRequired { challenge: Some(challenge()) },
        Unproven::Invalid => Refusal::ProofInvalid { challenge: challenge() },
        Unproven::Closed => Refusal::PollClosed,
    }
}

fn challenge_key(core: &CoreState) -> ChallengeKey<'_> {
    ChallengeKey(&core.app.challenge_key)
}

/// Notes a vote for its poll's anomaly score: now, not when it is recorded, since a client may not wait for that.
fn note(
    core: &CoreState,
    poll: &Poll,
    kind: VoteKind,
    (address, voter): (Option<IpAddr>, Option<VoterKey>),
    choices: &Choices,
) {
    if is_scored(poll) {
        let device = voter.filter(|_| poll.policy == Policy::Device);
        core.votes_noted.note(Sighting { poll: poll.id, kind, address, device, choices });
    }
}

/// Notes a vote whose voter has none left. Behind a broker, only workers know.
fn note_duplicate(core: &CoreState, poll: PollId, refusal: &Refusal) {
    if matches!(refusal, Refusal::AlreadyVoted(_) | Refusal::OptionQuotaUsed(_)) {
        core.votes_noted.note_duplicate(poll);
    }
}

/// Refuses what can't count any more, or not yet.
///
/// Without a broker, the store decides whether a ballot is too late: one sent again after the close, because its response was
/// lost, gets the same response as the first time. Behind a broker the store isn't queried here, and a ballot that will not
/// count must not be accepted, so the close is checked here.
fn refuse_outside_window(core: &CoreState, poll: &Poll, now: Timestamp) -> Result<(), Refusal> {
    match poll.state(now) {
        PollState::Draft | PollState::Scheduled => Err(Refusal::PollNotOpen),
        PollState::Closing | PollState::Final if core.app.is_behind_broker() => Err(Refusal::PollClosed),
        PollState::Open | PollState::Closing | PollState::Final => Ok(()),
    }
}

fn status(disposition: Disposition, policy: Policy) -> Result<Status, Refusal> {
    match disposition {
        Disposition::Accepted => Ok(Status::Accepted),
        Disposition::Recorded(Outcome::Counted | Outcome::CountedBefore) => Ok(Status::Counted),
        Disposition::Recorded(Outcome::Outdated) => Ok(Status::Outdated),
        Disposition::Recorded(Outcome::IdReused) => Err(Refusal::BallotIdReused),
        Disposition::Recorded(Outcome::QuotaUsed { ballots, only }) => {
            Err(Refusal::AlreadyVoted(earlier(policy, ballots, only)))
        }
        Disposition::Recorded(Outcome::OptionQuotaUsed(option)) => Err(Refusal::OptionQuotaUsed(option)),
        Disposition::Recorded(Outcome::NotChangeable) => Err(Refusal::NotChangeable),
        Disposition::Recorded(Outcome::TooEarly) => Err(Refusal::PollNotOpen),
        Disposition::Recorded(Outcome::TooLate) => Err(Refusal::PollClosed),
        Disposition::Recorded(Outcome::NotReady) => Err(Refusal::Unavailable(Dependency::Store)),
    }
}

/// What the sender may know of the ballots that this voter has cast.
fn earlier(policy: Policy, ballots: u8, only: Option<Choices>) -> Earlier {
    match policy {
        Policy::Device | Policy::Signed | Policy::Code => Earlier::OfVoter { ballots, only },
        // Where there are no voters, no ballot has this outcome.
        Policy::Network | Policy::Unlimited => Earlier::OfNetwork { ballots },
    }
}

fn refusal(core: &CoreState, id: BallotId, error: SubmitError) -> Refusal {
    match error {
        SubmitError::Busy => Refusal::Overloaded,
        SubmitError::Unavailable if core.app.is_behind_broker() => Refusal::Unavailable(Dependency::Queue),
        SubmitError::Unavailable => Refusal::Unavailable(Dependency::Store),
        SubmitError::Unknown => Refusal::OutcomeUnknown(id),
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::poll::OptionId;

    use super::*;

    #[test]
    fn ballot_that_the_store_is_not_ready_for_may_be_sent_again() {
        let status = status(Disposition::Recorded(Outcome::NotReady), Policy::Device);
        assert_eq!(status, Err(Refusal::Unavailable(Dependency::Store)));
    }

    #[test]
    fn choices_of_earlier_ballots_are_shown_to_their_voter_only() {
        let only = Choices::new([OptionId(1)]);
        let earlier =
            |policy| status(Disposition::Recorded(Outcome::QuotaUsed { ballots: 1, only: only.clone() }), policy);
        for policy in [Policy::Device, Policy::Signed, Policy::Code] {
            let of_sender = Earlier::OfVoter { ballots: 1, only: only.clone() };
            assert_eq!(earlier(policy), Err(Refusal::AlreadyVoted(of_sender)));
        }
        assert_eq!(earlier(Policy::Network), Err(Refusal::AlreadyVoted(Earlier::OfNetwork { ballots: 1 })));
    }
}
