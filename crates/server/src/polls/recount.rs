//! Comparing a poll's tallies with its ballots, and voiding ballots.

use throng_domain::poll::{Poll, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::store::Recount;
use throng_domain::void::VoidRule;

use super::{PollError, PollService, is_transient, retry_conflicts};

/// How often all ballots are counted until the tallies agree with them.
const SETTLE_TRIES_MAX: usize = 10;

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
    /// finds the difference to the tallies; votes go on meanwhile. The third corrects the tallies by it, and notes that, for servers to
    /// read the result again. If it is interrupted, `throng poll recount --repair` does what is left.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if the change isn't allowed, or those of [`Self::find`] and [`Self::settle`].
    pub async fn change_voids(&self, slug: &Slug, change: VoidChange) -> Result<(Poll, Recount), PollError> {
        let poll = retry_conflicts(|| async {
            let poll = self.find_to_change(slug).await?;
            self.change(&poll, change.clone().into_change()).await
        })
        .await?;
        self.settle(&poll.slug).await
    }

    /// Makes the tallies agree with the ballots: see [`Self::settle`].
    ///
    /// # Errors
    /// [`PollError::OtherVersion`], or those of [`Self::settle`].
    pub async fn repair(&self, slug: &Slug) -> Result<(Poll, Recount), PollError> {
        let poll = self.find_to_change(slug).await?;
        self.settle(&poll.slug).await
    }

    /// Counts all ballots, and corrects the tallies if they differ, until they agree with the ballots and the poll's rules; returns the
    /// first count.
    ///
    /// The correction is stored only if the poll is still at the version whose rules were counted by: so of two that run at the same
    /// time, one counts again, and finds nothing to correct.
    ///
    /// # Errors
    /// [`PollError::DiffersAgain`] if that isn't so after some counts, or those of [`Self::find`] and the store.
    async fn settle(&self, slug: &Slug) -> Result<(Poll, Recount), PollError> {
        let mut first = None;
        for _ in 0..SETTLE_TRIES_MAX {
            let poll = self.find(slug).await?;
            let recount = self.recount(&poll).await?;
            let (correction, is_settled) = (recount.correction(), recount.agrees());
            let first = first.get_or_insert(recount);
            if is_settled && poll.voids.iter().all(|void| void.applied) {
                return Ok((poll, first.clone()));
            }
            match self.change(&poll, PollChange::Applied(correction)).await {
                Ok(poll) => return Ok((poll, first.clone())),
                Err(PollError::Store(error)) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(PollError::DiffersAgain(slug.clone()))
    }
}
