//! Shows: polls in the order in which a broadcast or an evening has them, behind one address.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::Slug;
use crate::poll::{Poll, PollState};
use crate::poll_rules::TITLE_CHARS_MAX;
use crate::store::StoreError;
use crate::text;

/// The most polls of a show.
pub const SHOW_POLLS_MAX: usize = 100;

/// The most shows of an installation.
pub const SHOWS_MAX: usize = 200;

/// A show as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Show {
    /// Its public name, in URLs; shows and polls may have the same ones.
    pub slug: Slug,
    /// What it is called.
    pub title: String,
    /// Its polls, in their order. A poll that doesn't exist, is a draft or is a rehearsal is in no answer to the public.
    pub polls: Vec<Slug>,
    /// Increases with every change.
    pub version: u64,
}

impl Show {
    /// A message to the operator for each rule that this show breaks; empty if it breaks none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !text::is_visible(&self.title) || self.title.chars().count() > TITLE_CHARS_MAX {
            faults.push(format!("the title needs 1 to {TITLE_CHARS_MAX} characters"));
        }
        if let Some(hidden) = text::first_hidden(&self.title) {
            let code = u32::from(hidden);
            faults.push(format!("the title has a character that nobody can see, U+{code:04X}; leave it out"));
        }
        if self.polls.len() > SHOW_POLLS_MAX {
            faults.push(format!("a show has at most {SHOW_POLLS_MAX} polls, this one {}", self.polls.len()));
        } else if let Some(twice) =
            (1..self.polls.len()).find(|place| self.polls[..*place].contains(&self.polls[*place]))
        {
            faults.push(format!("poll `{}` is in it twice", self.polls[twice]));
        }
        faults
    }

    /// Itself, if it breaks no rule.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] with every fault.
    pub fn checked(&self) -> Result<&Self, StoreError> {
        let faults = self.faults();
        if faults.is_empty() { Ok(self) } else { Err(StoreError::Rejected(faults.join("; "))) }
    }

    /// What the audit log says of it.
    pub fn audited(&self) -> serde_json::Value {
        serde_json::json!({ "show": { "slug": self.slug, "title": self.title, "polls": self.polls } })
    }
}

/// Which of these polls, in a show's order, is the one to show at `now`: the open one, else the next that opens, else the one that closed
/// last. Of several open ones, it is the one that opened last. Where times are equal, the later in the show's order is it, but of those
/// that open the earlier one.
pub fn current<'a>(polls: impl IntoIterator<Item = &'a Poll>, now: Timestamp) -> Option<&'a Poll> {
    let (mut open, mut next, mut last) = (None::<&Poll>, None::<&Poll>, None::<&Poll>);
    for poll in polls {
        match poll.state(now) {
            PollState::Draft => {}
            PollState::Scheduled if next.is_none_or(|next| poll.opens_at < next.opens_at) => next = Some(poll),
            PollState::Open if open.is_none_or(|open| poll.opens_at >= open.opens_at) => open = Some(poll),
            PollState::Closing | PollState::Final if last.is_none_or(|last| poll.closes_at >= last.closes_at) => {
                last = Some(poll);
            }
            PollState::Scheduled | PollState::Open | PollState::Closing | PollState::Final => {}
        }
    }
    open.or(next).or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PollId;
    use crate::new_poll::NewPoll;

    /// A poll that is open within these times.
    fn poll(slug: &str, opens_at: i64, closes_at: i64) -> Poll {
        let new = NewPoll::demo(slug.parse().unwrap(), Timestamp(opens_at));
        NewPoll { closes_at: Some(Timestamp(closes_at)), ..new }.into_poll(PollId(1))
    }

    #[test]
    fn open_poll_comes_before_the_next_and_the_last_one() {
        let polls = [poll("a", 10, 20), poll("b", 30, 40), poll("c", 35, 50), poll("d", 35, 45), poll("e", 60, 70)];
        let draft = Poll { opens_at: None, ..poll("draft", 0, 100) };
        let current = |now| current(polls.iter().chain([&draft]), Timestamp(now)).map(|poll| poll.slug.as_str());
        let expected =
            [(0, "a"), (10, "a"), (20, "b"), (30, "b"), (35, "d"), (45, "c"), (50, "e"), (60, "e"), (70, "e")];
        for (now, slug) in expected {
            assert_eq!(current(now), Some(slug), "{now}");
        }
        assert_eq!(super::current([&draft], Timestamp(5)), None);
        assert_eq!(super::current([], Timestamp(5)), None);
    }

    #[test]
    fn rules_of_a_show_are_checked_at_once() {
        let show = |title: &str, polls: &[&str]| Show {
            slug: "show".parse().unwrap(),
            title: title.to_owned(),
            polls: polls.iter().map(|slug| slug.parse().unwrap()).collect(),
            version: 1,
        };
        assert_eq!(show("Final", &["a", "b"]).faults(), Vec::<String>::new());
        assert_eq!(show("Final", &[]).faults(), Vec::<String>::new());
        let faults = show(" \u{202e}", &["a", "b", "a"]).faults().join("; ");
        for part in ["1 to 200", "U+202E", "`a` is in it twice"] {
            assert!(faults.contains(part), "{part}: {faults}");
        }
        assert!(show("x", &["a"; SHOW_POLLS_MAX + 1]).faults()[0].contains("at most 100"));
    }
}
