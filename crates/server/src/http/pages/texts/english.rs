//! The pages' texts in English.

use throng_domain::poll::{InvalidChoice, Kind, Poll};

use super::table::{PlainText, Plural, ScriptTexts, Texts};
use crate::voting::{Earlier, Refusal, TokenFault};

/// The table.
pub static ENGLISH: Texts = Texts {
    lang: "en",
    vote_button: "Vote",
    back_to_ballot: "Back to the ballot",
    change_vote: "Change your vote",
    changeable: "You can change your vote until the poll closes: vote again, and your last vote counts.",
    your_choice: "Your choice",
    open_until: "Open until",
    not_counted: "Not counted:",
    your_code: "Your code",
    code_hint: "16 letters and digits. Capitals, spaces and hyphens don't matter.",
    date_format: "%-d %B %Y, %H:%M UTC",
    thousands_separator: ',',
    vote_counted: "Thank you, your vote is counted",
    vote_accepted: "Thank you, your vote is in",
    shown_later: "It shows in the result in a moment.",
    not_open_yet: "This poll is not open yet",
    opens_on: "It opens on",
    result_so_far: "The result so far",
    final_result: "The final result",
    counting_last: "The last votes are being counted.",
    result_hidden: "The result of this poll is not shown here.",
    result_after_close: "The result will be here once the poll has closed.",
    no_votes_yet: "No votes yet",
    nobody_voted: "Nobody voted",
    percent_of_ballots: "Percentages are shares of the ballots. A ballot may choose several options, so they can add up to more \
                         than 100%.",
    percent_of_choices: "Percentages are shares of all choices made.",
    first_choices_shown: "These are the first choices. Who wins is decided in rounds: where an option is out, its ballots count for \
                          their next choice.",
    percent_of_points: "Percentages are shares of all points given.",
    votes: Plural { one: "# vote", other: "# votes" },
    ballots: Plural { one: "# ballot", other: "# ballots" },
    points: Plural { one: "# point", other: "# points" },
    rank,
    no_choice: "–",
    ranked_twice: "You gave an option two ranks. Give each option one, then vote.",
    hint,
    too_few,
    too_many,
    refused,
    unreadable: "Your vote could not be read, so it was not counted. Choose again, then vote.",
    needs_script: "Voting in this poll needs JavaScript: your browser has to do a short calculation, which makes it hard for \
                   programs to vote in great numbers. Please turn on JavaScript for this site and reload the page, or vote \
                   with another browser.",
    needs_voter: "Only users of another site can vote in this poll. Log in there, and open the poll from that site.",
    origin_not_allowed: PlainText {
        title: "Your vote was not counted",
        text: "It was sent from a page of another site, which is not allowed to vote here. Vote on the poll's own page.",
    },
    nothing_here: PlainText { title: "There is nothing here", text: "Check the address." },
    no_such_poll: PlainText {
        title: "There is no such poll",
        text: "It may have been renamed or taken down. Check the address.",
    },
    show_has_not_begun: "There is nothing to vote on yet. Leave this page open: it shows each poll as it begins.",
    only_a_rehearsal: PlainText {
        title: "This is a rehearsal",
        text: "Nobody votes here, and nothing here is a result. Operators test with it what a poll takes.",
    },
    rehearsal: "REHEARSAL: nobody votes here, and nothing here is a result.",
    script: ScriptTexts {
        sending: "Sending your vote…",
        still_trying: "Still trying…",
        offline: "There is no connection to the server. Are you offline?",
        crowded: "Too many people are voting at this moment.",
        rate_limited: "Too many votes are coming from your network at this moment.",
        unreachable: "The server does not answer.",
        maybe_counted: "We don't know yet whether your vote arrived. Try again: it counts once.",
        not_counted_yet: "Your vote is not counted yet: try again.",
        try_again: "Try again",
    },
};

fn hint(poll: &Poll) -> String {
    let (min, max, options) = (poll.min_choices, poll.max_choices, poll.options.len());
    let all = usize::from(max) >= options;
    match poll.kind {
        Kind::Single => "Choose one".to_owned(),
        Kind::Multiple if min == max => format!("Choose {min}"),
        Kind::Multiple if min <= 1 && all => "Choose all that apply".to_owned(),
        Kind::Multiple if min <= 1 => format!("Choose up to {max}"),
        Kind::Multiple if all => format!("Choose at least {min}"),
        Kind::Multiple => format!("Choose {min} to {max}"),
        Kind::Ranked if min == max => format!("Choose your first {max}, the best one first"),
        Kind::Ranked if min <= 1 => "Choose in your order, the best one first".to_owned(),
        Kind::Ranked => format!("Choose at least {min} in your order, the best one first"),
        Kind::Score => format!("Give each a score from 0 to {}, the best", poll.counting.score_max),
    }
}

fn rank(rank: u16) -> String {
    let ending = match (rank % 10, rank % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{rank}{ending} choice")
}

fn too_few(min: u16) -> String {
    if min == 1 { "Choose an option first, then vote.".to_owned() } else { format!("Choose at least {min} options.") }
}

fn too_many(max: u16) -> String {
    if max == 1 { "Choose only one option.".to_owned() } else { format!("Choose at most {max} options.") }
}

fn refused(refusal: &Refusal, retried: bool) -> String {
    let text = match refusal {
        Refusal::InvalidChoice(InvalidChoice::None) => return too_few(1),
        Refusal::InvalidChoice(InvalidChoice::TooFew { min }) => return too_few(*min),
        Refusal::InvalidChoice(InvalidChoice::TooMany { max }) => return too_many(*max),
        Refusal::InvalidChoice(InvalidChoice::Twice) => ENGLISH.ranked_twice,
        Refusal::InvalidChoice(InvalidChoice::OtherKind(_) | InvalidChoice::ScoreTooHigh { .. }) => ENGLISH.unreadable,
        Refusal::InvalidChoice(InvalidChoice::Unknown(_)) => {
            "One of those options is not in this poll. Check the options, then vote again."
        }
        Refusal::AlreadyVoted(earlier) => return already_voted(earlier),
        Refusal::BallotIdReused => "You have already voted. Your first vote stands; this one was not counted.",
        Refusal::OptionQuotaUsed(_) => {
            "One of these options was chosen as often as this poll allows a voter, so this vote was not counted. Choose \
             others."
        }
        Refusal::CodeRequired => "This poll is for people with a code. Enter yours, then vote.",
        Refusal::CodeInvalid => {
            "This code is not valid in this poll, so your vote was not counted. Check each letter and digit, then vote again. \
             If it still does not work, ask whoever gave you the code."
        }
        Refusal::NotChangeable => {
            "You have changed your vote as often as is possible. Your last vote stands; this one was not counted."
        }
        Refusal::NothingToWithdraw => "This vote does not count any more.",
        Refusal::ProofRequired { .. } if retried => {
            "This poll asks your browser for a short calculation first. Your first attempt may have been counted. Vote again from \
             here: it counts once. If you see this again, turn on JavaScript for this site."
        }
        Refusal::ProofRequired { .. } => {
            "Your vote was not counted: this poll asks your browser for a short calculation first. Vote again from here; if you \
             see this again, turn on JavaScript for this site."
        }
        Refusal::ProofInvalid { .. } => "Your vote was not counted, since it was sent too late. Vote again from here.",
        Refusal::VoterTokenMissing => {
            "Your vote was not counted, since this page doesn't know who you are. Go back to the site that led you here, log in \
             there, and open the poll again."
        }
        Refusal::VoterTokenInvalid(TokenFault::Expired) if retried => {
            "This page was open for too long. Your first attempt may have been counted; this one was not. To vote again, go \
             back to the site that led you here and open the poll there."
        }
        Refusal::VoterTokenInvalid(TokenFault::Expired) => {
            "Your vote was not counted, since this page was open for too long. Go back to the site that led you here, open the \
             poll again, and vote."
        }
        Refusal::VoterTokenInvalid(
            TokenFault::TooLong
            | TokenFault::TooFarAhead
            | TokenFault::Unreadable
            | TokenFault::UnknownKey
            | TokenFault::WrongSignature
            | TokenFault::MissingClaim(_)
            | TokenFault::SubjectLength
            | TokenFault::OtherPoll
            | TokenFault::NotYetValid,
        ) => {
            "Your vote was not counted: the link that led you here can't be used for this poll. Go back to that site and open the \
             poll again; if you see this again, tell the site."
        }
        Refusal::BallotIdMissing => "Press Vote once more: then your vote is counted.",
        Refusal::Rehearsal => "This is a rehearsal, so your vote was not counted. Nobody votes here.",
        Refusal::PollNotOpen => "This poll is not open yet, so your vote was not counted.",
        Refusal::PollClosed if retried => {
            "This poll has closed. Your first attempt may have been counted; this one was not."
        }
        Refusal::PollClosed => "This poll has closed, so your vote was not counted.",
        Refusal::RateLimited { .. } if retried => {
            "Too many votes are coming from your network at this moment. Your first attempt may have been counted. Wait a \
             little, then vote again from here: it counts once."
        }
        Refusal::RateLimited { .. } => {
            "Too many votes are coming from your network at this moment, so yours was not counted. Wait a little, then \
             vote again from here."
        }
        Refusal::Overloaded => {
            "Too many people are voting at this moment, so your vote was not counted. Vote again in a few seconds."
        }
        Refusal::VoterKeysMissing => {
            "This site can't recognize its voters at the moment, so your vote was not counted. Tell the site, then vote again."
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

fn already_voted(earlier: &Earlier) -> String {
    match earlier {
        Earlier::OfVoter { ballots, .. } if *ballots > 1 => {
            format!("You have already voted {ballots} times, as often as this poll allows. This vote was not counted.")
        }
        Earlier::OfVoter { .. } => "You have already voted. Your first vote stands; this one was not counted.".to_owned(),
        Earlier::OfNetwork { ballots: 1 } => {
            "Someone on your network has already voted. This poll counts one vote a day from each network, so yours was \
             not counted. Try another network, such as mobile data in place of Wi-Fi."
                .to_owned()
        }
        Earlier::OfNetwork { ballots } => format!(
            "Others on your network have already voted. This poll counts {ballots} votes a day from each network, so yours \
             was not counted. Try another network, such as mobile data in place of Wi-Fi."
        ),
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::Timestamp;
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
}
