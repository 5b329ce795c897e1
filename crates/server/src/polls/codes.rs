//! Making and revoking a poll's invitation codes.

use throng_domain::ballot::VoterKey;
use throng_domain::code::{BatchName, Code};
use throng_domain::policy::Policy;
use throng_domain::poll::{Poll, PollId, Slug};
use throng_domain::store::{CODES_ADDED_MAX, CodeBatch};

use super::{PollError, PollService, retry_conflicts};
use crate::voting::{PolicyKey, code_voter};

/// The most codes of one batch.
pub const CODES_MADE_MAX: u32 = 1_000_000;

/// A batch of codes that are made, and stored part by part.
#[derive(Debug)]
pub struct NewBatch {
    poll: Poll,
    /// The batch as it began.
    pub batch: CodeBatch,
    /// In the order in which they were made.
    codes: Vec<(VoterKey, Code)>,
}

impl NewBatch {
    /// The codes, in the order in which they were made, in parts that can be stored at once. That order says nothing of what is
    /// stored: otherwise whoever knows who got which line of a file could tell how each person voted. None of them counts before it is stored.
    pub fn parts(&self) -> impl Iterator<Item = &[(VoterKey, Code)]> {
        self.codes.chunks(CODES_ADDED_MAX)
    }
}

impl PollService<'_> {
    /// Begins a batch of so many codes, with a name of its number if none is given. `random` returns 128 random bits.
    ///
    /// # Errors
    /// [`PollError::HasNoCodes`], or those of [`Self::find`] and the store, such as a name that is taken.
    pub async fn begin_batch(
        &self,
        slug: &Slug,
        name: Option<BatchName>,
        count: u32,
        key: PolicyKey<'_>,
        random: impl FnMut() -> u128,
    ) -> Result<NewBatch, PollError> {
        let poll = self.find_with_codes(slug).await?;
        let name = match name {
            Some(name) => name,
            None => {
                let last = self.store.code_batches(poll.id).await?.last().map_or(0, |batch| batch.number);
                BatchName::of_number(last + 1)
            }
        };
        let codes = made(count, poll.id, key, random);
        let batch = self.store.begin_code_batch(poll.id, &name, self.clock.now(), self.author).await?;
        Ok(NewBatch { poll, batch, codes })
    }

    /// Stores one of the batch's [parts](NewBatch::parts): from then on its codes count.
    ///
    /// # Errors
    /// Those of the store. Whether the part is stored may be unknown, so its codes must not be handed out.
    pub async fn store_part(&self, new: &NewBatch, part: &[(VoterKey, Code)]) -> Result<(), PollError> {
        let mut voters: Vec<_> = part.iter().map(|(voter, _)| *voter).collect();
        voters.sort_unstable();
        Ok(self.store.add_codes(new.poll.id, new.batch.number, &voters).await?)
    }

    /// Stores that all of the batch's codes were handed out.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn finish_batch(&self, new: &NewBatch) -> Result<(), PollError> {
        let now = self.clock.now();
        retry_conflicts(|| async { Ok(self.store.mark_batch_exported(new.poll.id, new.batch.number, now).await?) })
            .await
    }

    /// The poll's batches, by their numbers.
    ///
    /// # Errors
    /// As for [`Self::begin_batch`].
    pub async fn batches(&self, slug: &Slug) -> Result<Vec<CodeBatch>, PollError> {
        let poll = self.find_with_codes(slug).await?;
        Ok(self.store.code_batches(poll.id).await?)
    }

    /// Revokes the batch of this name, and returns it. Ballots that were cast with its codes stay.
    ///
    /// # Errors
    /// [`PollError::NoSuchBatch`], or as for [`Self::begin_batch`].
    pub async fn revoke_batch(&self, slug: &Slug, name: &BatchName) -> Result<CodeBatch, PollError> {
        let (poll, now) = (self.find_with_codes(slug).await?, self.clock.now());
        let batches = self.store.code_batches(poll.id).await?;
        let no_such_batch = || PollError::NoSuchBatch { slug: slug.clone(), name: name.clone() };
        let batch = batches.into_iter().find(|batch| batch.name == *name).ok_or_else(no_such_batch)?;
        retry_conflicts(|| async { Ok(self.store.revoke_code_batch(poll.id, batch.number, now, self.author).await?) })
            .await?;
        Ok(CodeBatch { revoked_at: batch.revoked_at.or(Some(now)), ..batch })
    }

    async fn find_with_codes(&self, slug: &Slug) -> Result<Poll, PollError> {
        let poll = self.find_to_change(slug).await?;
        match poll.policy {
            Policy::Code => Ok(poll),
            policy @ (Policy::Unlimited | Policy::Device | Policy::Network | Policy::Signed) => {
                Err(PollError::HasNoCodes { slug: slug.clone(), policy })
            }
        }
    }
}

/// So many new codes of the poll, each with what is stored of it, in the order of their random bits.
fn made(count: u32, poll: PollId, key: PolicyKey<'_>, mut random: impl FnMut() -> u128) -> Vec<(VoterKey, Code)> {
    let new_code = |_| {
        let code = Code::of_random(random());
        (code_voter(key, poll, code), code)
    };
    (0..count).map(new_code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DerivedKey;

    /// S28: who knows who got which line of a file can't tell from the database's order whose line it is.
    #[test]
    fn codes_are_not_in_the_order_of_what_is_stored() {
        let key = DerivedKey::new([7; 32]);
        let mut random = 0..;
        let codes = made(100, PollId(1), PolicyKey(&key), || random.next().unwrap());
        assert!(codes.iter().map(|(_, code)| *code).eq((0..100).map(Code::of_random)));
        assert!(!codes.is_sorted_by_key(|(voter, _)| *voter));
    }
}
