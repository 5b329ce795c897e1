//! What became of a ballot, for whoever has its receipt; and withdrawing it.

use std::time::Duration;

use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::{Poll, PollState};
use throng_domain::store::{CastBallot, Standing};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::cast::{self, Status};
use super::receipt::{Receipt, ReceiptKey};
use super::refusal::Refusal;
use crate::state::{CoreState, Dependency};

/// How long a request waits until another one's look-up has ended.
const LOOK_UP_WAIT_MAX: Duration = Duration::from_secs(2);

/// What became of the ballot.
///
/// # Errors
/// [`Refusal::Overloaded`] if too many ballots are being looked up for too long, [`Refusal::Unavailable`] if the store can't be read.
pub async fn standing(core: &CoreState, poll: &Poll, receipt: &Receipt) -> Result<Standing, Refusal> {
    let cast = look_up(core, &core.app.look_ups.standings, poll, receipt).await?;
    Ok(Standing::of(receipt.ballot_id, receipt.key, &cast, poll))
}

/// What the voter of the ballot has cast.
async fn look_up(
    core: &CoreState,
    permits: &Semaphore,
    poll: &Poll,
    receipt: &Receipt,
) -> Result<Vec<CastBallot>, Refusal> {
    let permit = timeout(LOOK_UP_WAIT_MAX, permits.acquire()).await;
    let Ok(Ok(_permit)) = permit else { return Err(Refusal::Overloaded) };
    let keys = if poll.policy.identifies_voters() {
        BallotKey::all_of_voter(receipt.key.voter())
    } else {
        receipt.key..=receipt.key
    };
    core.app.source.store.cast(poll.id, keys).await.map_err(|error| {
        // Whoever has a receipt may ask often, and the store's other users report that it is unavailable.
        debug!(%error, "what became of a ballot can't be read");
        Refusal::Unavailable(Dependency::Store)
    })
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
    let cast = look_up(core, &core.app.look_ups.withdrawals, poll, receipt).await?;
    match Standing::of(receipt.ballot_id, receipt.key, &cast, poll) {
        Standing::Withdrawn => return Ok(Status::Counted),
        // On its way, the ballot is recorded after its withdrawal, and doesn't count.
        // A void one might count again.
        Standing::Counted | Standing::Pending | Standing::Void => {}
        Standing::Replaced | Standing::Duplicate | Standing::Rejected => return Err(Refusal::NothingToWithdraw),
    }
    // Just after the ballot, so that one which the voter has cast since, and which isn't recorded yet, counts.
    let recorded = cast.iter().find(|ballot| ballot.id == receipt.ballot_id);
    let at = recorded.map_or(receipt.accepted_at, |ballot| ballot.accepted_at).plus_ms(1);
    let id = receipt.withdrawal_id(ReceiptKey(&core.app.ballot_receipt_key));
    let withdrawal = Ballot::withdrawal(poll.id, poll.policy, receipt.key.voter(), id, at);
    cast::submit(core, withdrawal).await.map(|(status, _)| status)
}
