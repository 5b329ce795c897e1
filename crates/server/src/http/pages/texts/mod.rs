//! The pages' texts for voters.

use jiff::Timestamp as JiffTimestamp;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{InvalidChoice, Kind, PercentBase, Poll};

use super::super::problem::Problem;
use crate::view::rfc3339_text;
use crate::voting::Refusal;

/// A time, for programs and for people.
#[derive(Debug)]
pub struct DisplayTime {
    /// In RFC 3339 format.
    pub iso: String,
    /// As readable text, in UTC; the script converts it to the visitor's time zone.
    pub words: String,
}

impl DisplayTime {
    /// The time `at`.
    pub fn new(at: Timestamp) -> Self {
        let timestamp = JiffTimestamp::from_millisecond(at.0).unwrap_or(JiffTimestamp::MAX);
        Self { iso: rfc3339_text(at), words: timestamp.strftime("%-d %B %Y, %H:%M UTC").to_string() }
    }
}

/// The hint on how many options to choose.
pub fn hint(poll: &Poll) -> String {
    let (min, max, options) = (poll.min_choices, poll.max_choices, poll.options.len());
    let all = usize::from(max) >= options;
    match poll.kind {
        Kind::Single => "Choose one".to_owned(),
        Kind::Multiple if min == max => format!("Choose {min}"),
        Kind::Multiple if min <= 1 && all => "Choose all that apply".to_owned(),
        Kind::Multiple if min <= 1 => format!("Choose up to {max}"),
        Kind::Multiple if all => format!("Choose at least {min}"),
        Kind::Multiple => format!("Choose {min} to {max}"),
    }
}

/// The message for too few choices.
pub fn too_few(min: u16) -> String {
    if min == 1 { "Choose an option first, then vote.".to_owned() } else { format!("Choose at least {min} options.") }
}

/// The message for too many choices.
pub fn too_many(max: u16) -> String {
    if max == 1 { "Choose only one option.".to_owned() } else { format!("Choose at most {max} options.") }
}

/// Why a vote wasn't counted and what to do next. `retried`: an earlier attempt of the same vote may have been counted.
pub fn message(problem: &Problem, retried: bool) -> String {
    let Problem::Refused(refusal) = problem else {
        return "Your vote could not be read, so it was not counted. Choose again, then vote.".to_owned();
    };
    let text = match refusal {
        Refusal::InvalidChoice(InvalidChoice::None) => return too_few(1),
        Refusal::InvalidChoice(InvalidChoice::TooFew { min }) => return too_few(*min),
        Refusal::InvalidChoice(InvalidChoice::TooMany { max }) => return too_many(*max),
        Refusal::InvalidChoice(InvalidChoice::Unknown(_)) => {
            "One of those options is not in this poll. Check the options, then vote again."
        }
        Refusal::BallotIdReused | Refusal::AlreadyVoted(_) => {
            "You have already voted. Your first vote stands; this one was not counted."
        }
        Refusal::BallotIdMissing => "Press Vote once more: then your vote is counted.",
        Refusal::PollNotOpen => "This poll is not open yet, so your vote was not counted.",
        Refusal::PollClosed if retried => {
            "This poll has closed. Your first attempt may have been counted; this one was not."
        }
        Refusal::PollClosed => "This poll has closed, so your vote was not counted.",
        Refusal::Overloaded => {
            "Too many people are voting at this moment, so your vote was not counted. Vote again in a few seconds."
        }
        Refusal::Unavailable(_) => {
            "Votes can't be stored at this moment, so yours was not counted. Vote again in a few seconds."
        }
        Refusal::OutcomeUnknown(_) => {
            "Something went wrong, and we don't know if your vote was counted. Vote again from here: it counts once."
        }
    };
    text.to_owned()
}

/// The title and text of a page that shows no poll.
pub fn without_poll(problem: &Problem) -> (&'static str, &'static str) {
    if matches!(problem, Problem::OriginNotAllowed) {
        let text =
            "It was sent from a page of another site, which is not allowed to vote here. Vote on the poll's own page.";
        ("Your vote was not counted", text)
    } else if matches!(problem, Problem::NotFound) {
        ("There is nothing here", "Check the address.")
    } else {
        ("There is no such poll", "It may have been renamed or taken down. Check the address.")
    }
}

/// The word for a ballot in this poll: a vote where it has one choice, a ballot where it may have several, since there each
/// choice is a vote. Not "voter", since a person may send several ballots.
pub fn ballot(poll: &Poll) -> &'static str {
    match poll.kind {
        Kind::Single => "vote",
        Kind::Multiple => "ballot",
    }
}

/// What this poll's percentages are shares of; empty where they add up to 100 percent of the votes.
pub fn base(poll: &Poll) -> &'static str {
    match (poll.kind, poll.percent_base) {
        (Kind::Single, _) => "",
        (Kind::Multiple, PercentBase::Voters) => {
            "Percentages are shares of the ballots. A ballot may choose several options, so they can add up to more than 100%."
        }
        (Kind::Multiple, PercentBase::Selections) => "Percentages are shares of all choices made.",
    }
}

/// The number of ballots cast; `word` is the word for one, `votable` whether the poll accepts more.
pub fn ballots(ballots: u64, word: &str, votable: bool) -> String {
    match ballots {
        0 if votable => "No votes yet".to_owned(),
        0 => "Nobody voted".to_owned(),
        1 => format!("1 {word}"),
        _ => format!("{} {word}s", grouped(ballots)),
    }
}

/// The number of votes for an option.
pub fn votes(votes: u64) -> String {
    if votes == 1 { "1 vote".to_owned() } else { format!("{} votes", grouped(votes)) }
}

/// A number with a comma as the thousands separator.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;

    use super::*;

    #[test]
    fn hint_states_the_limits() {
        let mut poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let mut hint_for = |min, max| {
            (poll.min_choices, poll.max_choices) = (min, max);
            hint(&poll)
        };
        assert_eq!(hint_for(1, 5), "Choose all that apply");
        assert_eq!(hint_for(1, 3), "Choose up to 3");
        assert_eq!(hint_for(2, 5), "Choose at least 2");
        assert_eq!(hint_for(2, 3), "Choose 2 to 3");
        assert_eq!(hint_for(2, 2), "Choose 2");
        poll.kind = Kind::Single;
        assert_eq!(hint(&poll), "Choose one");
    }

    #[test]
    fn large_numbers_are_grouped() {
        let texts = [0, 1, 999, 1_000, 12_345, 1_234_567].map(votes);
        assert_eq!(texts, ["0 votes", "1 vote", "999 votes", "1,000 votes", "12,345 votes", "1,234,567 votes"]);
    }

    #[test]
    fn display_time_is_readable() {
        let time = DisplayTime::new(Timestamp(1_800_000_000_000));
        assert_eq!(
            (time.iso.as_str(), time.words.as_str()),
            ("2027-01-15T08:00:00.000Z", "15 January 2027, 08:00 UTC")
        );
    }
}
