//! What became of a ballot, for whoever has its receipt; and withdrawing it.

use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::{Poll, PollState};
use throng_domain::store::Standing;
use tracing::warn;

use super::cast::{self, Status};
use super::receipt::{Receipt, ReceiptKey};
use super::refusal::Refusal;
use crate::state::{CoreState, Dependency};

/// What became of the ballot.
///
/// # Errors
/// [`Refusal::Overloaded`] if too many ballots are being looked up, [`Refusal::Unavailable`] if the store can't be read.
pub async fn standing(core: &CoreState, poll: &Poll, receipt: &Receipt) -> Result<Standing, Refusal> {
    let _permit = core.app.ballot_look_ups.try_acquire().map_err(|_| Refusal::Overloaded)?;
    let keys = if poll.policy.identifies_voters() {
        BallotKey::all_of_voter(receipt.key.voter())
    } else {
        receipt.key..=receipt.key
    };
    match core.app.source.store.cast(poll.id, keys).await {
        Ok(cast) => Ok(Standing::of(receipt.ballot_id, &cast, poll)),
        Err(error) => {
            warn!(%error, "what became of a ballot can't be read");
            Err(Refusal::Unavailable(Dependency::Store))
        }
    }
}

/// Withdraws the ballot, unless its voter has cast another one meanwhile.
///
/// A withdrawal is a ballot without choices, which takes the same way as every other one.
///
/// # Errors
/// The [`Refusal`].
pub async fn withdraw(core: &CoreState, poll: &Poll, receipt: &Receipt) -> Result<Status, Refusal> {
    if !poll.changeable {
        return Err(Refusal::NotChangeable);
    }
    let now = core.app.clock.now();
    match poll.state(now) {
        PollState::Open => {}
        PollState::Draft | PollState::Scheduled => return Err(Refusal::PollNotOpen),
        PollState::Closing | PollState::Final => return Err(Refusal::PollClosed),
    }
    match standing(core, poll, receipt).await? {
        Standing::Withdrawn => return Ok(Status::Counted),
        // On its way, the ballot is recorded after its withdrawal, and doesn't count.
        Standing::Counted | Standing::Pending => {}
        Standing::Replaced | Standing::Duplicate | Standing::Rejected => return Err(Refusal::NothingToWithdraw),
    }
    // Later than the ballot, also by a clock that was set back.
    let at = poll.arrival(now).max(receipt.accepted_at.plus_ms(1));
    let id = receipt.withdrawal_id(ReceiptKey(&core.app.ballot_receipt_key));
    let withdrawal = Ballot::withdrawal(poll.id, poll.policy, receipt.key.voter(), id, at);
    cast::submit(core, withdrawal).await.map(|(status, _)| status)
}
