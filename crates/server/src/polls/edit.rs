//! Editing, archiving and deleting a poll.

use throng_domain::audit::AuditEntry;
use throng_domain::poll::{Poll, Slug};
use throng_domain::poll_change::{Edit, PollChange};
use throng_domain::store::StoreError;

use super::{PollError, PollService, retry_conflicts};

impl PollService<'_> {
    /// Edits a poll. What decides how ballots count changes only before the poll opens.
    ///
    /// # Errors
    /// [`PollError::Edit`], [`PollError::OtherVersion`], or those of [`Self::find`] and the store.
    pub async fn edit(&self, slug: &Slug, edit: Edit) -> Result<Poll, PollError> {
        retry_conflicts(|| async {
            let poll = self.find_to_change(slug).await?;
            // As the poll is now; the store decides anew, with the ballots that it has.
            let fault = |fault| PollError::Edit { slug: slug.clone(), fault };
            if poll.edited(&edit, self.clock.now(), false).map_err(fault)? == poll && edit.window.is_none() {
                return Ok(poll);
            }
            self.change(&poll, PollChange::Edit(edit.clone())).await
        })
        .await
    }

    /// Archives a poll whose result is final, or takes it back.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if its result isn't final, or those of [`Self::find`] and the store.
    pub async fn archive(&self, slug: &Slug, archive: bool) -> Result<Poll, PollError> {
        retry_conflicts(|| async {
            let poll = self.find_to_change(slug).await?;
            if poll.archived_at.is_some() == archive {
                return Ok(poll);
            }
            self.change(&poll, PollChange::Archive(archive)).await
        })
        .await
    }

    /// Deletes a draft, and returns what it was.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] if it isn't a draft, [`PollError::OtherVersion`], or those of [`Self::find`] and the store.
    pub async fn delete(&self, slug: &Slug) -> Result<Poll, PollError> {
        retry_conflicts(|| async {
            let poll = self.find_to_change(slug).await?;
            self.store.delete_poll(poll.id, poll.version, self.author).await?;
            Ok(poll)
        })
        .await
    }

    /// The latest changes, the last one first: of this poll, which may be deleted, or of all.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audit_log(
        &self,
        poll: Option<&Slug>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.store.audit_log(poll, before, limit).await
    }
}
