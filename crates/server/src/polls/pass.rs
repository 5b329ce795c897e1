//! Passes for load runs in a rehearsal.

use throng_domain::clock::Timestamp;
use throng_domain::poll::Slug;

use super::{PollError, PollService, TimeArg};
use crate::config::DerivedKey;
use crate::view::rfc3339_text;
use crate::voting::{PASS_LIFETIME_MAX_MS, RehearsalKey};

/// A pass, to be given to a load run.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Its text.
    pub text: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl PollService<'_> {
    /// A pass for load runs in this poll.
    ///
    /// # Errors
    /// [`PollError::NotARehearsal`], [`PollError::InvalidPass`] if it would have expired already or be valid for too long, or those of
    /// [`Self::find`].
    pub async fn pass(&self, slug: &Slug, expires_at: TimeArg, key: &DerivedKey) -> Result<Pass, PollError> {
        let (poll, now) = (self.find(slug).await?, self.clock.now());
        if !poll.rehearsal {
            return Err(PollError::NotARehearsal(slug.clone()));
        }
        let expires_at = expires_at.resolve(now, now);
        let latest = now.plus_ms(PASS_LIFETIME_MAX_MS);
        if expires_at <= now || expires_at > latest {
            let fault = format!("a pass expires in the future, by {} at the latest", rfc3339_text(latest));
            return Err(PollError::InvalidPass(fault));
        }
        Ok(Pass { text: RehearsalKey(key).pass(poll.id, expires_at), expires_at })
    }
}
