//! Creating a poll.

use throng_domain::clock::Timestamp;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::Poll;
use throng_domain::store::StoreError;

use super::{PollError, PollService, TimeArg, retry_conflicts};

/// When a new poll opens and closes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// When it opens; without this it is a draft.
    pub opens_at: Option<TimeArg>,
    /// When it closes, if ever; a delay counts from the opening.
    pub closes_at: Option<TimeArg>,
}

impl PollService<'_> {
    /// Creates a poll; its opening and closing times are those of `schedule`.
    ///
    /// # Errors
    /// [`PollError::Invalid`] with every fault at once, [`PollError::NoOpeningToCountFrom`], [`PollError::SlugTaken`], or those
    /// of the store.
    pub async fn create(&self, new: NewPoll, schedule: Schedule) -> Result<Poll, PollError> {
        let new = schedule.of(new, self.clock.now())?;
        retry_conflicts(|| async {
            match self.store.create_poll(new.clone(), self.author).await {
                // A retry would fail too.
                Err(StoreError::Conflict(why)) => Err(PollError::SlugTaken(why)),
                created => Ok(created?),
            }
        })
        .await
    }
}

impl Schedule {
    /// The new poll with these times.
    ///
    /// # Errors
    /// As for [`PollService::create`].
    pub(super) fn of(self, new: NewPoll, now: Timestamp) -> Result<NewPoll, PollError> {
        let opens_at = self.opens_at.map(|opens_at| opens_at.resolve(now, now));
        let closes_at = match (self.closes_at, opens_at) {
            (Some(TimeArg::After { .. }), None) => return Err(PollError::NoOpeningToCountFrom),
            (closes_at, _) => closes_at.map(|closes_at| closes_at.resolve(now, opens_at.unwrap_or(now))),
        };
        let new = NewPoll { opens_at, closes_at, ..new };
        let mut faults = new.faults();
        if closes_at.is_some_and(|closes_at| closes_at <= now) {
            faults.push("its close has passed already; give a later one".to_owned());
        }
        if faults.is_empty() { Ok(new) } else { Err(PollError::Invalid(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn scheduled(opens_at: Option<&str>, closes_at: Option<&str>) -> Result<NewPoll, PollError> {
        let time = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let schedule = Schedule { opens_at: time(opens_at), closes_at: time(closes_at) };
        schedule.of(NewPoll::demo("demo".parse().unwrap(), Timestamp(0)), NOW)
    }

    #[test]
    fn window_follows_the_schedule() {
        let window = |opens_at, closes_at| scheduled(opens_at, closes_at).map(|new| (new.opens_at, new.closes_at));
        let hour = 3_600_000;
        assert_eq!(window(None, None).unwrap(), (None, None));
        assert_eq!(window(Some("now"), None).unwrap(), (Some(NOW), None));
        assert_eq!(window(Some("+1h"), Some("+2h")).unwrap(), (Some(NOW.plus_ms(hour)), Some(NOW.plus_ms(3 * hour))));
        assert_eq!(window(None, Some("2027-01-15T09:00:00Z")).unwrap(), (None, Some(NOW.plus_ms(hour))));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let error = scheduled(Some("now"), Some("2020-01-01T00:00:00Z")).unwrap_err().to_string();
        for expected in ["closes before it opens", "has passed"] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_draft_has_no_opening_to_count_from() {
        assert!(matches!(scheduled(None, Some("+2h")), Err(PollError::NoOpeningToCountFrom)));
    }
}
