//! Opening and closing a poll.

use std::time::Duration;

use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState, Slug};
use throng_domain::poll_change::PollChange;
use throng_domain::store::{Close, Window};
use throng_domain::window::WindowFault;

use super::{PollError, PollService, TimeArg, retry_conflicts};

impl PollService<'_> {
    /// Opens a draft at `at`, or changes when a scheduled poll opens. It closes at `closes_at`, for which a delay counts from the
    /// opening; without it, when it was to close before.
    ///
    /// # Errors
    /// [`PollError::Window`] if it is open or closed already, or would never be open; or those of [`Self::find`].
    pub async fn open(&self, slug: &Slug, at: TimeArg, closes_at: Option<TimeArg>) -> Result<Poll, PollError> {
        self.set_window(slug, |poll, now| self.window_opened(poll, now, at, closes_at)).await
    }

    /// The window of a poll that opens at `at`: see [`Self::open`].
    pub(super) fn window_opened(
        &self,
        poll: &Poll,
        now: Timestamp,
        at: TimeArg,
        closes_at: Option<TimeArg>,
    ) -> Result<Window, WindowFault> {
        let opens_at = at.resolve(now, now);
        let closes_at = closes_at.map(|closes_at| closes_at.resolve(now, opens_at));
        // A poll that opens before every node knows of a change counts as open: it can't be postponed any more.
        match (poll.state(now.plus_ms(self.heard_ms)), poll.opens_at) {
            (PollState::Open, Some(opens_at)) => Err(WindowFault::Open { opens_at }),
            _ => poll.opened(now, opens_at, closes_at),
        }
    }

    /// Lets a closed poll accept ballots again from now on, until `closes_at`, in addition to those that it has.
    ///
    /// # Errors
    /// [`PollError::Window`] if it isn't closed, or would close in the past; or those of [`Self::find`].
    pub async fn reopen(&self, slug: &Slug, closes_at: Option<TimeArg>) -> Result<Poll, PollError> {
        self.set_window(slug, |poll, now| poll.reopened(now, closes_at.map(|closes_at| closes_at.resolve(now, now))))
            .await
    }

    /// Closes a poll at `at`, but not before every node knows of it, since what a node accepted after the close would not count;
    /// nor later than the close that the nodes know of, unless a later one is requested. One that needs no other node to know, and is
    /// requested for now, has happened when this returns.
    ///
    /// # Errors
    /// [`PollError::Window`] if it is a draft or closed already, or would close in the past or before it opens; or those of
    /// [`Self::find`].
    pub async fn close(&self, slug: &Slug, at: TimeArg) -> Result<Poll, PollError> {
        retry_conflicts(|| async {
            let (poll, now) = (self.find_to_change(slug).await?, self.clock.now());
            let close = self.checked_close(&poll, now, at);
            let close = close.map_err(|fault| PollError::Window { slug: slug.clone(), fault })?;
            let closed = self.change(&poll, PollChange::Close(close)).await?;
            // Where no other node has to know of it, it closes with the next millisecond.
            if self.heard_ms == 0 && close.at <= now {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(closed)
        })
        .await
    }

    /// The close of the poll at `at`, so far as is known before it is stored: see [`Self::close`].
    pub(super) fn checked_close(&self, poll: &Poll, now: Timestamp, at: TimeArg) -> Result<Close, WindowFault> {
        let close = Close { at: at.resolve(now, now), heard_ms: self.heard_ms };
        let expected = close.moment(poll.closes_at, now).filter(|_| close.at >= now).unwrap_or(close.at);
        poll.closed(now, expected)?;
        Ok(close)
    }

    /// Sets the window that `decide` returns for the poll as it is when the window is stored.
    async fn set_window(
        &self,
        slug: &Slug,
        decide: impl Fn(&Poll, Timestamp) -> Result<Window, WindowFault>,
    ) -> Result<Poll, PollError> {
        retry_conflicts(|| async {
            let poll = self.find_to_change(slug).await?;
            let window = decide(&poll, self.clock.now());
            let window = window.map_err(|fault| PollError::Window { slug: slug.clone(), fault })?;
            self.change(&poll, PollChange::Window(window)).await
        })
        .await
    }
}
