//! When a poll accepts ballots, and when it may be opened, closed and reopened.
//!
//! The rules are applied to the poll as it is stored; the caller writes the window together with the version that the
//! rules were applied to, so that of two concurrent callers one has to apply them again.

use crate::clock::Timestamp;
use crate::poll::{Poll, PollState};

/// How long it takes until every server knows of a change, in milliseconds: a server checks ten times per second, and its
/// estimate of the database's time and that of who makes the change are each off by up to half a round trip.
pub const HEARD_MS: i64 = 1_000;

/// When a poll accepts ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this time on; `None` for a draft.
    pub opens_at: Option<Timestamp>,
    /// Until just before this time; `None` for no end.
    pub closes_at: Option<Timestamp>,
}

impl Window {
    /// The window by which ballots are judged: a poll whose result is final accepts none.
    #[must_use]
    pub fn judging(self, is_final: bool) -> Self {
        if is_final { Self { closes_at: Some(Timestamp(i64::MIN)), ..self } } else { self }
    }
}

/// A requested close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The requested time.
    pub at: Timestamp,
    /// How long it takes until every node knows of the close, in milliseconds: the poll closes no sooner.
    pub heard_ms: i64,
}

impl Close {
    /// When the poll closes if this is stored at `now`: not before every node knows of it, and not later than `known`,
    /// the close that the nodes know already, unless a later one is requested. No ballot that arrived up to `now` is
    /// late. `None` if the poll has closed already.
    pub fn moment(self, known: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let soonest = now.plus_ms(self.heard_ms.max(1));
        match known {
            Some(known) if known <= now => None,
            Some(known) if self.at <= known => Some(self.at.max(soonest).min(known)),
            Some(_) | None => Some(self.at.max(soonest)),
        }
    }
}

/// Why a poll can't be opened or closed as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFault {
    /// A close was requested, but no opening time was ever set.
    Draft,
    /// A close was requested for a time before the poll opens.
    NotOpenYet {
        /// When it opens.
        opens_at: Timestamp,
    },
    /// An opening was requested, but the poll accepts ballots already.
    Open {
        /// When it opened.
        opens_at: Timestamp,
    },
    /// An opening or a close was requested, but the poll is closed already.
    Closed {
        /// When it closed.
        closes_at: Timestamp,
    },
    /// A reopening was requested, but the poll isn't closed.
    NotClosed,
    /// It would have closed in the past: ballots that are already counted would have been late.
    ClosesInThePast {
        /// The requested time.
        closes_at: Timestamp,
    },
    /// It would close before it opens, or at the same time.
    ClosesBeforeOpening {
        /// When it would open.
        opens_at: Timestamp,
        /// When it would close.
        closes_at: Timestamp,
    },
}

impl Poll {
    /// The window of this draft or scheduled poll if it opens at `opens_at`. It closes at `closes_at` or, if that is
    /// `None`, at the closing time that was set before.
    ///
    /// # Errors
    /// If it was opened before, or would never be open.
    pub fn opened(
        &self,
        now: Timestamp,
        opens_at: Timestamp,
        closes_at: Option<Timestamp>,
    ) -> Result<Window, WindowFault> {
        match self.state(now) {
            PollState::Draft | PollState::Scheduled => {}
            PollState::Open => return Err(WindowFault::Open { opens_at: self.opens_at.unwrap_or(now) }),
            PollState::Closing | PollState::Final => return Err(self.closed_already(now)),
        }
        let closes_at = closes_at.or(self.closes_at);
        let window = Window { opens_at: Some(opens_at), closes_at };
        match closes_at {
            Some(closes_at) if closes_at <= now => Err(WindowFault::ClosesInThePast { closes_at }),
            Some(closes_at) if closes_at <= opens_at => Err(WindowFault::ClosesBeforeOpening { opens_at, closes_at }),
            Some(_) | None => Ok(window),
        }
    }

    /// The window of this closed poll if it accepts ballots again, from now until `closes_at`. Ballots that arrived
    /// while it was closed were rejected and stay so.
    ///
    /// # Errors
    /// If it isn't closed, or would close in the past.
    pub fn reopened(&self, now: Timestamp, closes_at: Option<Timestamp>) -> Result<Window, WindowFault> {
        match (self.state(now), closes_at) {
            (PollState::Draft | PollState::Scheduled | PollState::Open, _) => Err(WindowFault::NotClosed),
            (_, Some(closes_at)) if closes_at <= now => Err(WindowFault::ClosesInThePast { closes_at }),
            (PollState::Closing | PollState::Final, _) => {
                let opens_at = self.opens_at.map_or(now, |opens_at| opens_at.min(now));
                Ok(Window { opens_at: Some(opens_at), closes_at })
            }
        }
    }

    /// The window of this poll if it closes at `closes_at`.
    ///
    /// # Errors
    /// If it is a draft or closed already, or would close in the past or before it opens.
    pub fn closed(&self, now: Timestamp, closes_at: Timestamp) -> Result<Window, WindowFault> {
        match (self.state(now), self.opens_at) {
            (PollState::Closing | PollState::Final, _) => Err(self.closed_already(now)),
            (PollState::Draft, _) | (_, None) => Err(WindowFault::Draft),
            (PollState::Scheduled, Some(opens_at)) if closes_at <= opens_at => {
                Err(WindowFault::NotOpenYet { opens_at })
            }
            (_, Some(_)) if closes_at < now => Err(WindowFault::ClosesInThePast { closes_at }),
            (PollState::Scheduled | PollState::Open, Some(_)) => {
                Ok(Window { opens_at: self.opens_at, closes_at: Some(closes_at) })
            }
        }
    }

    fn closed_already(&self, now: Timestamp) -> WindowFault {
        WindowFault::Closed { closes_at: self.closes_at.unwrap_or(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PollId;
    use crate::new_poll::NewPoll;

    const NOW: Timestamp = Timestamp(1_000_000);
    const EARLIER: Timestamp = Timestamp(900_000);
    const LATER: Timestamp = Timestamp(1_100_000);
    const MUCH_LATER: Timestamp = Timestamp(1_200_000);

    fn poll(opens_at: Option<Timestamp>, closes_at: Option<Timestamp>) -> Poll {
        let demo = NewPoll::demo("demo".parse().unwrap(), NOW).into_poll(PollId(1));
        Poll { opens_at, closes_at, ..demo }
    }

    fn window(opens_at: Timestamp, closes_at: Option<Timestamp>) -> Result<Window, WindowFault> {
        Ok(Window { opens_at: Some(opens_at), closes_at })
    }

    #[test]
    fn a_draft_opens_and_keeps_its_end() {
        assert_eq!(poll(None, None).opened(NOW, NOW, None), window(NOW, None));
        assert_eq!(poll(None, Some(LATER)).opened(NOW, NOW, None), window(NOW, Some(LATER)));
        assert_eq!(poll(None, Some(LATER)).opened(NOW, NOW, Some(MUCH_LATER)), window(NOW, Some(MUCH_LATER)));
    }

    #[test]
    fn a_scheduled_poll_opens_sooner_or_later() {
        let scheduled = poll(Some(LATER), None);
        assert_eq!(scheduled.opened(NOW, NOW, None), window(NOW, None));
        assert_eq!(scheduled.opened(NOW, MUCH_LATER, None), window(MUCH_LATER, None));
    }

    #[test]
    fn poll_that_would_never_be_open_is_rejected() {
        let draft = poll(None, None);
        assert_eq!(draft.opened(NOW, NOW, Some(EARLIER)), Err(WindowFault::ClosesInThePast { closes_at: EARLIER }));
        assert_eq!(
            draft.opened(NOW, MUCH_LATER, Some(LATER)),
            Err(WindowFault::ClosesBeforeOpening { opens_at: MUCH_LATER, closes_at: LATER })
        );
    }

    #[test]
    fn an_opened_poll_does_not_open() {
        assert_eq!(poll(Some(EARLIER), None).opened(NOW, NOW, None), Err(WindowFault::Open { opens_at: EARLIER }));
        assert_eq!(poll(Some(EARLIER), Some(NOW)).opened(NOW, NOW, None), Err(WindowFault::Closed { closes_at: NOW }));
    }

    #[test]
    fn only_a_closed_poll_opens_again() {
        assert_eq!(poll(Some(EARLIER), Some(NOW)).reopened(NOW, None), window(EARLIER, None));
        assert_eq!(poll(None, Some(EARLIER)).reopened(NOW, Some(LATER)), window(NOW, Some(LATER)));
        assert_eq!(
            poll(Some(EARLIER), Some(NOW)).reopened(NOW, Some(NOW)),
            Err(WindowFault::ClosesInThePast { closes_at: NOW })
        );
        for poll in [poll(None, None), poll(Some(LATER), None), poll(Some(EARLIER), None)] {
            assert_eq!(poll.reopened(NOW, None), Err(WindowFault::NotClosed));
        }
    }

    #[test]
    fn an_open_poll_closes_now_or_later() {
        let open = poll(Some(EARLIER), Some(MUCH_LATER));
        assert_eq!(open.closed(NOW, NOW), window(EARLIER, Some(NOW)));
        assert_eq!(open.closed(NOW, LATER), window(EARLIER, Some(LATER)));
        assert_eq!(open.closed(NOW, EARLIER), Err(WindowFault::ClosesInThePast { closes_at: EARLIER }));
    }

    #[test]
    fn draft_or_closed_poll_does_not_close() {
        assert_eq!(poll(None, None).closed(NOW, NOW), Err(WindowFault::Draft));
        assert_eq!(poll(Some(LATER), None).closed(NOW, NOW), Err(WindowFault::NotOpenYet { opens_at: LATER }));
        assert_eq!(poll(Some(LATER), None).closed(NOW, MUCH_LATER), window(LATER, Some(MUCH_LATER)));
        let closed = poll(Some(EARLIER), Some(NOW));
        assert_eq!(closed.closed(NOW, LATER), Err(WindowFault::Closed { closes_at: NOW }));
    }

    #[test]
    fn poll_closes_once_every_node_knows() {
        const NOW: i64 = 1_000_000;
        for (known, requested, heard_ms, closes) in [
            (None, 0, 0, Some(1)),
            (None, -90_000, 0, Some(1)),
            (None, 5_000, 0, Some(5_000)),
            (None, 0, 1_000, Some(1_000)),
            (None, 400, 1_000, Some(1_000)),
            (None, 5_000, 1_000, Some(5_000)),
            (Some(400), 0, 1_000, Some(400)),
            (Some(400), 600, 1_000, Some(1_000)),
            (Some(9_000), 0, 1_000, Some(1_000)),
            (Some(9_000), 20_000, 1_000, Some(20_000)),
            (Some(0), 0, 1_000, None),
        ] {
            let close = Close { at: Timestamp(NOW + requested), heard_ms };
            let found = close.moment(known.map(|known| Timestamp(NOW + known)), Timestamp(NOW));
            assert_eq!(found.map(|found| found.0 - NOW), closes, "{known:?} {requested}");
        }
    }
}
