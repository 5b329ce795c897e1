//! Comparing a poll's tallies with its ballots.

use throng_domain::poll::Poll;
use throng_domain::store::Recount;
use throng_domain::tally::TallyChange;

use super::{PollError, PollService, retry_conflicts};

impl PollService<'_> {
    /// The poll's tallies and, as of the same point in time, what its ballots add up to.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn recount(&self, poll: &Poll) -> Result<Recount, PollError> {
        Ok(self.store.recount(poll.id).await?)
    }

    /// Corrects the poll's tallies by the difference that `recount` found.
    ///
    /// # Errors
    /// [`PollError::DiffersAgain`] if the tallies don't agree with the ballots afterwards, or those of the store.
    pub async fn repair(&self, poll: &Poll, recount: &Recount) -> Result<(), PollError> {
        let change = TallyChange::between(&recount.tallies, &recount.ballots);
        retry_conflicts(async || Ok(self.store.change_tallies(&change).await?)).await?;
        let again = self.recount(poll).await?;
        if again.tallies.counts_equal(&again.ballots) {
            Ok(())
        } else {
            Err(PollError::DiffersAgain(poll.slug.clone()))
        }
    }
}
