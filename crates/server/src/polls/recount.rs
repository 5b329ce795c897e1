//! Comparing a poll's tallies with its ballots, and voiding ballots.

use throng_domain::poll::{Poll, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::store::Recount;
use throng_domain::tally::TallyChange;
use throng_domain::void::VoidRule;

use super::{PollError, PollService, retry_conflicts};

/// A change of the rules by which ballots are void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoidChange {
    /// These are void from now on.
    Add(VoidRule),
    /// The rule with this number is undone.
    Undo(u32),
}

impl VoidChange {
    fn into_change(self) -> PollChange {
        match self {
            Self::Add(rule) => PollChange::Void(rule),
            Self::Undo(number) => PollChange::Unvoid(number),
        }
    }
}

impl PollService<'_> {
    /// The poll's tallies and, as of the same point in time, what its ballots add up to.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn recount(&self, poll: &Poll) -> Result<Recount, PollError> {
        Ok(self.store.recount(poll.id).await?)
    }

    /// The poll's counts as they are and, as of the same point in time, as they would be with this change of its rules.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the change isn't allowed, or those of [`Self::find`] and the store.
    pub async fn preview(&self, slug: &Slug, change: &VoidChange) -> Result<(Poll, Recount), PollError> {
        let poll = self.find(slug).await?;
        let changed = change.clone().into_change().apply(&poll, self.clock.now(), true)?;
        let recount = self.store.recount_by(poll.id, Some(changed.voids)).await?;
        Ok((poll, recount))
    }

    /// Makes ballots void, or undoes that; returns the poll and its counts then. From the first of three steps on, ballots that
    /// are recorded are judged by the changed rules. The second counts all ballots by them, which takes a while for millions, and
    /// corrects the tallies by the difference; votes go on meanwhile. The third notes that, for servers to read the result
    /// again. If it is interrupted, `throng poll recount --repair` does what is left.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the change isn't allowed, or those of [`Self::find`] and [`Self::repair`].
    pub async fn change_voids(&self, slug: &Slug, change: VoidChange) -> Result<(Poll, Recount), PollError> {
        let poll = retry_conflicts(async || {
            let poll = self.find(slug).await?;
            self.change(&poll, change.clone().into_change()).await
        })
        .await?;
        self.settle(&poll).await
    }

    /// Counts all ballots, and corrects the tallies if they differ; then they agree with the poll's rules.
    ///
    /// # Errors
    /// Those of [`Self::repair`].
    pub async fn settle(&self, poll: &Poll) -> Result<(Poll, Recount), PollError> {
        let recount = self.recount(poll).await?;
        if !recount.tallies.counts_equal(&recount.ballots) {
            self.correct(&recount).await?;
        }
        let settled = retry_conflicts(async || {
            let poll = self.find(&poll.slug).await?;
            if poll.voids.iter().all(|void| void.applied) {
                return Ok(poll);
            }
            self.change(&poll, PollChange::Applied).await
        })
        .await?;
        Ok((settled, recount))
    }

    /// Corrects the poll's tallies by the difference that `recount` found.
    ///
    /// # Errors
    /// [`PollError::DiffersAgain`] if the tallies don't agree with the ballots afterwards, or those of the store.
    pub async fn repair(&self, poll: &Poll, recount: &Recount) -> Result<(), PollError> {
        self.correct(recount).await?;
        let again = self.recount(poll).await?;
        if again.tallies.counts_equal(&again.ballots) {
            Ok(())
        } else {
            Err(PollError::DiffersAgain(poll.slug.clone()))
        }
    }

    async fn correct(&self, recount: &Recount) -> Result<(), PollError> {
        let change = TallyChange::between(&recount.tallies, &recount.ballots);
        retry_conflicts(async || Ok(self.store.change_tallies(&change).await?)).await.map(drop)
    }
}
