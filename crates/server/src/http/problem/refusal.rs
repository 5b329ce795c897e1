//! The problems of votes that aren't counted.

use hyper::StatusCode;

use crate::state::Dependency;
use crate::voting::{Earlier, Refusal};

/// What the client can do after a 429 or 503: nothing was accepted.
pub(super) const NOTHING_ACCEPTED: &str =
    "Nothing was accepted. Send the same ballot again after the number of seconds in Retry-After.";

/// Status, code and title of a refused vote.
pub(super) fn kind(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    match refusal {
        Refusal::InvalidChoice(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_choice", "Invalid choice"),
        Refusal::BallotIdMissing => {
            (StatusCode::UNPROCESSABLE_ENTITY, "ballot_id_missing", "The form has no ballot id")
        }
        Refusal::BallotIdReused => {
            (StatusCode::UNPROCESSABLE_ENTITY, "ballot_id_reused", "The ballot id belongs to another ballot")
        }
        Refusal::AlreadyVoted(Earlier::OfVoter { .. }) => {
            (StatusCode::CONFLICT, "already_voted", "This voter has already voted")
        }
        Refusal::AlreadyVoted(Earlier::OfNetwork { .. }) => {
            (StatusCode::CONFLICT, "already_voted", "This network has no votes left")
        }
        Refusal::OptionQuotaUsed(_) => {
            (StatusCode::CONFLICT, "option_quota_used", "This voter has chosen this option as often as allowed")
        }
        Refusal::NotChangeable => (StatusCode::CONFLICT, "not_changeable", "The ballot can't be changed"),
        Refusal::NothingToWithdraw => {
            (StatusCode::CONFLICT, "nothing_to_withdraw", "The ballot doesn't count any more")
        }
        Refusal::CodeRequired => (StatusCode::FORBIDDEN, "code_required", "The ballot needs an invitation code"),
        Refusal::CodeInvalid => (StatusCode::FORBIDDEN, "code_invalid", "The invitation code isn't valid in this poll"),
        Refusal::ProofRequired { .. } => {
            (StatusCode::PRECONDITION_REQUIRED, "proof_required", "The ballot needs a proof of work")
        }
        Refusal::ProofInvalid { .. } => {
            (StatusCode::PRECONDITION_REQUIRED, "proof_invalid", "The proof of work isn't valid for this ballot")
        }
        Refusal::VoterTokenMissing => (StatusCode::FORBIDDEN, "voter_token_required", "The vote needs a voter's token"),
        Refusal::VoterTokenInvalid(_) => {
            (StatusCode::FORBIDDEN, "voter_token_invalid", "The voter's token isn't valid for this poll")
        }
        Refusal::VoterKeysMissing => {
            (StatusCode::SERVICE_UNAVAILABLE, "voter_keys_missing", "Voters can't be recognized right now")
        }
        Refusal::Rehearsal => (StatusCode::FORBIDDEN, "rehearsal", "The poll is a rehearsal"),
        Refusal::PollNotOpen => (StatusCode::CONFLICT, "poll_not_open", "The poll isn't open yet"),
        Refusal::PollClosed => (StatusCode::GONE, "poll_closed", "The poll is closed"),
        Refusal::RateLimited { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many votes from this network")
        }
        Refusal::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server is overloaded"),
        Refusal::Unavailable(dependency) => unavailable(*dependency),
        Refusal::OutcomeUnknown(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", "It is unknown whether the ballot was counted")
        }
    }
}

/// Status, code and title where this dependency is unavailable.
pub(super) fn unavailable(dependency: Dependency) -> (StatusCode, &'static str, &'static str) {
    match dependency {
        Dependency::Store => {
            (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Ballots can't be stored right now")
        }
        Dependency::Queue => {
            (StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable", "Ballots can't be queued right now")
        }
    }
}

/// What the sender of a refused vote can do next.
pub(super) fn detail(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InvalidChoice(why) => format!("{why}."),
        Refusal::BallotIdMissing => {
            "Send the form with a ballot_id, so that it counts once if it is sent twice.".into()
        }
        Refusal::BallotIdReused => {
            "A ballot with this id was sent with other choices. Use a new id for a new ballot.".into()
        }
        Refusal::AlreadyVoted(Earlier::OfVoter { .. }) => {
            "The ballot was not counted: the voter has cast as many as the poll's quota allows. Those stand.".into()
        }
        Refusal::AlreadyVoted(Earlier::OfNetwork { ballots }) => format!(
            "The ballot was not counted: the poll counts {ballots} a day from each network, and so many came from the \
             sender's. Send it from another network."
        ),
        Refusal::OptionQuotaUsed(option) => {
            format!(
                "The ballot was not counted: as many of the voter's ballots chose option {option} as the poll allows."
            )
        }
        Refusal::NotChangeable => {
            "Nothing was changed: the poll doesn't let voters change or withdraw ballots, or as many ballots of this voter are \
            recorded as can be. The last one stands."
                .into()
        }
        Refusal::NothingToWithdraw => {
            "Nothing was changed: the voter has cast another ballot since, or this one was never counted. Withdraw the \
            ballot that counts, with its receipt."
                .into()
        }
        Refusal::CodeRequired => {
            "The ballot was not counted: this poll counts one voter for each invitation code. Send the voter's code as voter, or \
            to /api/submit as Throng-Voter."
                .into()
        }
        Refusal::CodeInvalid => {
            "The ballot was not counted. Check the code: it has 16 letters and digits; capitals, spaces and hyphens don't \
            matter. It may have been revoked, or be for another poll: then ask whoever gave it to you."
                .into()
        }
        Refusal::ProofRequired { challenge: None } => {
            "The ballot was not counted. Send it with a ballot_id, to /api/submit as Idempotency-Key: the response then has a \
            challenge to solve."
                .into()
        }
        Refusal::ProofRequired { challenge: Some(_) } => {
            "The ballot was not counted. Solve the challenge in this response, and send the ballot again with the same ballot_id and \
            the proof: in proof, or to /api/submit as Throng-Proof."
                .into()
        }
        Refusal::ProofInvalid { .. } => {
            "The ballot was not counted: the proof is of another ballot or poll, has expired, or doesn't solve its challenge. \
            Solve the new challenge in this response, and send the ballot again with the same ballot_id and the proof."
                .into()
        }
        Refusal::VoterTokenMissing => {
            "The ballot was not counted. Send the token with which the poll's publisher names its user: in voter, or as \
            Throng-Voter."
                .into()
        }
        Refusal::VoterTokenInvalid(fault) => {
            format!("The ballot was not counted: the token can't be used, since {fault}. Get a new one from the poll's publisher.")
        }
        Refusal::Rehearsal => {
            "Nothing was counted, and nobody votes here: it takes ballots of load runs only, with a valid pass as \
            Throng-Rehearsal. An operator makes one with `throng poll pass`."
                .into()
        }
        Refusal::PollNotOpen => {
            "The ballot was not counted. The poll's opens_at is the time at which it opens, if known.".into()
        }
        Refusal::PollClosed => "The ballot was not counted: it arrived after the poll had closed.".into(),
        Refusal::RateLimited { .. }
        | Refusal::Overloaded
        | Refusal::Unavailable(_) => NOTHING_ACCEPTED.into(),
        Refusal::VoterKeysMissing => {
            "Nothing was accepted: this server has no VOTER_KEYS. Tell its operator, then send the same ballot again.".into()
        }
        Refusal::OutcomeUnknown(_) => {
            "Send the same ballot again with this ballot_id, to /api/submit as Idempotency-Key: it counts once. \
            Without the id it may count twice."
                .into()
        }
    }
}
