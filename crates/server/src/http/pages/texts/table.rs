//! The table of a page's texts, and the texts that are made from it.

use jiff::Timestamp as JiffTimestamp;
use serde::Serialize;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Kind, PercentBase, Poll};

use crate::http::problem::Problem;
use crate::view::rfc3339_text;
use crate::voting::Refusal;

/// The texts in one language.
#[derive(Debug)]
pub struct Texts {
    /// The language's tag (BCP 47).
    pub lang: &'static str,
    pub vote_button: &'static str,
    pub back_to_ballot: &'static str,
    /// In place of `back_to_ballot`, where a voter's next vote replaces the one before.
    pub change_vote: &'static str,
    /// Beside the form of a poll where it does.
    pub changeable: &'static str,
    /// Of an option that the visitor chose, for screen readers.
    pub your_choice: &'static str,
    /// A time follows.
    pub open_until: &'static str,
    /// The poll's title follows.
    pub not_counted: &'static str,
    /// The label of the field for an invitation code.
    pub your_code: &'static str,
    /// How a code is typed.
    pub code_hint: &'static str,
    /// The format of a time in UTC, as in `strftime`.
    pub date_format: &'static str,
    pub thousands_separator: char,
    pub vote_counted: &'static str,
    pub vote_accepted: &'static str,
    /// Of a vote that is accepted and not counted yet.
    pub shown_later: &'static str,
    pub not_open_yet: &'static str,
    /// A time follows.
    pub opens_on: &'static str,
    pub result_so_far: &'static str,
    pub final_result: &'static str,
    pub counting_last: &'static str,
    pub result_hidden: &'static str,
    pub result_after_close: &'static str,
    pub no_votes_yet: &'static str,
    pub nobody_voted: &'static str,
    pub percent_of_ballots: &'static str,
    pub percent_of_choices: &'static str,
    /// What is counted for an option of a ranked poll.
    pub first_choices_shown: &'static str,
    /// What percentages are of in a score poll.
    pub percent_of_points: &'static str,
    pub votes: Plural,
    pub ballots: Plural,
    pub points: Plural,
    /// A rank, from 1.
    pub rank: fn(u16) -> String,
    /// In a list from which nothing is chosen.
    pub no_choice: &'static str,
    /// An option was given two ranks.
    pub ranked_twice: &'static str,
    /// How many options to choose.
    pub hint: fn(&Poll) -> String,
    /// A ballot has fewer than this minimum of choices.
    pub too_few: fn(u16) -> String,
    /// A ballot has more than this maximum of choices.
    pub too_many: fn(u16) -> String,
    /// Why a vote wasn't counted and what to do next; `true`: an earlier attempt of the same vote may have been counted.
    pub refused: fn(&Refusal, bool) -> String,
    /// A vote that couldn't be read.
    pub unreadable: &'static str,
    /// Of a poll that requires a proof of work, where the script doesn't run.
    pub needs_script: &'static str,
    /// Of a poll whose voters are named by its publisher, where the visitor isn't.
    pub needs_voter: &'static str,
    pub origin_not_allowed: PlainText,
    pub nothing_here: PlainText,
    pub no_such_poll: PlainText,
    /// Of a show that has no poll to show yet.
    pub show_has_not_begun: &'static str,
    /// At the address of a rehearsal.
    pub only_a_rehearsal: PlainText,
    /// Above a rehearsal, to those who may see it.
    pub rehearsal: &'static str,
    pub script: ScriptTexts,
}

/// A number of things; `#` is where the number goes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plural {
    /// For one.
    pub one: &'static str,
    /// For every other number.
    pub other: &'static str,
}

/// A page that shows no poll.
#[derive(Clone, Copy, Debug)]
pub struct PlainText {
    /// Its heading.
    pub title: &'static str,
    /// What to do.
    pub text: &'static str,
}

/// What the page's script shows while it sends a vote.
#[derive(Debug, Serialize)]
pub struct ScriptTexts {
    pub sending: &'static str,
    pub still_trying: &'static str,
    pub offline: &'static str,
    pub crowded: &'static str,
    pub rate_limited: &'static str,
    pub unreachable: &'static str,
    pub maybe_counted: &'static str,
    pub not_counted_yet: &'static str,
    pub try_again: &'static str,
}

/// A time, for programs and for people.
#[derive(Debug)]
pub struct DisplayTime {
    /// In RFC 3339 format.
    pub iso: String,
    /// As readable text, in UTC; the script converts it to the visitor's time zone.
    pub text: String,
}

impl Texts {
    /// The time `at`.
    pub fn time(&self, at: Timestamp) -> DisplayTime {
        let timestamp = JiffTimestamp::from_millisecond(at.0).unwrap_or(JiffTimestamp::MAX);
        DisplayTime { iso: rfc3339_text(at), text: timestamp.strftime(self.date_format).to_string() }
    }

    /// Why a vote wasn't counted and what to do next. `retried`: an earlier attempt of the same vote may have been counted.
    pub fn message(&self, problem: &Problem, retried: bool) -> String {
        match problem {
            Problem::Refused(refusal) => (self.refused)(refusal, retried),
            Problem::NotABallot(_)
            | Problem::BadRequest(_)
            | Problem::NotFound
            | Problem::PollNotFound
            | Problem::OriginNotAllowed
            | Problem::OriginNotListed
            | Problem::MethodNotAllowed
            | Problem::TooLarge { .. }
            | Problem::BodyUnreadable
            | Problem::RequestTimeout
            | Problem::UnsupportedContentEncoding
            | Problem::UnsupportedMediaType
            | Problem::ReceiptInvalid
            | Problem::ResultsHidden
            | Problem::ResultsUnavailable(_)
            | Problem::Access(_)
            | Problem::CrossSite
            | Problem::InvalidBody(_)
            | Problem::InvalidQuery(_)
            | Problem::InvalidHeader(_)
            | Problem::TokenNotFound
            | Problem::WebhookNotFound
            | Problem::ShowNotFound
            | Problem::IfMatchMissing
            | Problem::Poll(_)
            | Problem::LongReadsBusy
            | Problem::NotJson
            | Problem::NotReady(..)
            | Problem::ShuttingDown
            | Problem::Internal(_) => self.unreadable.to_owned(),
        }
    }

    /// What a page says that shows no poll because of this problem.
    pub fn plain(&self, problem: &Problem) -> PlainText {
        if matches!(problem, Problem::OriginNotAllowed | Problem::OriginNotListed) {
            self.origin_not_allowed
        } else if matches!(problem, Problem::Refused(Refusal::Rehearsal)) {
            self.only_a_rehearsal
        } else if matches!(problem, Problem::NotFound | Problem::ShowNotFound) {
            self.nothing_here
        } else {
            self.no_such_poll
        }
    }

    /// The word for a ballot in this poll: a vote where it has one choice, a ballot where it may have several, since there each
    /// choice is a vote. Not "voter", since a person may send several ballots.
    pub fn ballots_of(&self, poll: &Poll) -> Plural {
        match poll.kind {
            Kind::Single => self.votes,
            Kind::Multiple | Kind::Ranked | Kind::Score => self.ballots,
        }
    }

    /// The word for what is counted for an option of this poll.
    pub fn unit_of(&self, poll: &Poll) -> Plural {
        match poll.kind {
            Kind::Single | Kind::Multiple | Kind::Ranked => self.votes,
            Kind::Score => self.points,
        }
    }

    /// What this poll's percentages are shares of; empty where they add up to 100 percent of the votes.
    pub fn percent_base(&self, poll: &Poll) -> &'static str {
        match (poll.kind, poll.shares_of()) {
            (Kind::Single, _) => "",
            (Kind::Multiple, PercentBase::Voters) => self.percent_of_ballots,
            (Kind::Multiple, PercentBase::Selections) => self.percent_of_choices,
            (Kind::Ranked, _) => self.first_choices_shown,
            (Kind::Score, _) => self.percent_of_points,
        }
    }

    /// How many ballots were cast; `accepts_more` is whether the poll is open.
    pub fn ballots_cast(&self, poll: &Poll, ballots: u64, accepts_more: bool) -> String {
        match ballots {
            0 if accepts_more => self.no_votes_yet.to_owned(),
            0 => self.nobody_voted.to_owned(),
            _ => self.count(self.ballots_of(poll), ballots),
        }
    }

    /// `number` things.
    pub fn count(&self, of: Plural, number: u64) -> String {
        let text = if number == 1 { of.one } else { of.other };
        text.replace('#', &self.grouped(number))
    }

    /// A number with separated thousands.
    fn grouped(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push(self.thousands_separator);
            }
            text.push(digit);
        }
        text
    }
}

impl ScriptTexts {
    /// The JSON object, for an attribute that the page's script reads.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts are strings")
    }
}

impl Plural {
    /// The JSON object, for an attribute that the page's script reads.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts are strings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::texts::english::ENGLISH;

    #[test]
    fn large_numbers_are_grouped() {
        let texts = [0, 1, 999, 1_000, 12_345, 1_234_567].map(|number| ENGLISH.count(ENGLISH.votes, number));
        assert_eq!(texts, ["0 votes", "1 vote", "999 votes", "1,000 votes", "12,345 votes", "1,234,567 votes"]);
    }

    #[test]
    fn display_time_is_readable() {
        let time = ENGLISH.time(Timestamp(1_800_000_000_000));
        assert_eq!((time.iso.as_str(), time.text.as_str()), ("2027-01-15T08:00:00.000Z", "15 January 2027, 08:00 UTC"));
    }
}
