//! Taking over the counts of an earlier system.

use throng_domain::poll::{OptionId, Poll, Slug};
use throng_domain::poll_change::PollChange;

use super::{PollError, PollService, retry_conflicts};

/// A poll's counts that come from an earlier system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The poll.
    pub poll: Poll,
    /// How many votes each of its options has from there, before and after, in the order of the options.
    pub counts: Vec<(OptionId, u64, u64)>,
}

impl PollService<'_> {
    /// What the poll has of an earlier system, and would have with these counts.
    ///
    /// # Errors
    /// [`StoreError::Rejected`](throng_domain::store::StoreError::Rejected) if the poll has no such option, or those of [`Self::find`].
    pub async fn preview_import(&self, slug: &Slug, counts: &[(OptionId, u64)]) -> Result<Imported, PollError> {
        self.imported(&self.find(slug).await?, counts)
    }

    /// Makes these the poll's counts of an earlier system, in the place of those that it has. The same ones again change nothing.
    ///
    /// # Errors
    /// As for [`Self::preview_import`], or those of the store.
    pub async fn import(&self, slug: &Slug, counts: &[(OptionId, u64)]) -> Result<Imported, PollError> {
        retry_conflicts(|| async {
            let before = self.find_to_change(slug).await?;
            let expected = self.imported(&before, counts)?;
            if !expected.changes_any() {
                return Ok(expected);
            }
            let after = self.change(&before, PollChange::Import(counts.to_vec())).await?;
            Ok(Imported::of(&before, after))
        })
        .await
    }

    /// What importing `counts` makes of the poll, so far as is known before it is stored.
    fn imported(&self, before: &Poll, counts: &[(OptionId, u64)]) -> Result<Imported, PollError> {
        let after = PollChange::Import(counts.to_vec()).apply(before, self.clock.now(), true)?;
        Ok(Imported::of(before, after))
    }
}

impl Imported {
    fn of(before: &Poll, after: Poll) -> Self {
        let count =
            |poll: &Poll, id| poll.imported.iter().find(|(option, _)| *option == id).map_or(0, |(_, count)| *count);
        let of_option = |id| (id, count(before, id), count(&after, id));
        let counts = after.options.iter().map(|option| of_option(option.id)).collect();
        Self { poll: after, counts }
    }

    /// Whether any count is another one than before.
    pub fn changes_any(&self) -> bool {
        self.counts.iter().any(|(_, before, after)| before != after)
    }
}
