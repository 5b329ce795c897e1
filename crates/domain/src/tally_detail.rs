//! What is counted of rankings and scores, beside the options' counts: how many ballots say the same.

use std::fmt;

use crate::choices::{Choices, Form, Options};
use crate::ids::OptionId;

/// What some ballots have in common.
///
/// A ranked ballot has one, which is all of its ranking: rankings that nobody made cost nothing, and the rounds are counted from those
/// that somebody made. A ballot with scores has one for each option that it scores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TallyDetail {
    /// They have this ranking.
    Ranking(Options),
    /// They give the option this score.
    Score(OptionId, u8),
}

impl TallyDetail {
    /// Those of a ballot.
    pub fn of(choices: &Choices) -> Vec<Self> {
        match choices.form() {
            Form::Chosen(_) => Vec::new(),
            Form::Ranked(options) => vec![Self::Ranking(options.into())],
            Form::Scored(scores) => scores.iter().map(|(option, score)| Self::Score(option, score)).collect(),
        }
    }
}

/// The form in which it is stored: `3>1`, `2=5`.
impl fmt::Display for TallyDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranking(options) => options
                .iter()
                .enumerate()
                .try_for_each(|(position, option)| write!(f, "{}{option}", if position > 0 { ">" } else { "" })),
            Self::Score(option, score) => write!(f, "{option}={score}"),
        }
    }
}

impl std::str::FromStr for TallyDetail {
    type Err = NotADetail;

    fn from_str(stored: &str) -> Result<Self, NotADetail> {
        let choices: Choices = stored.parse().map_err(|_| NotADetail)?;
        let mut details = Self::of(&choices);
        details.pop().filter(|_| details.is_empty()).ok_or(NotADetail)
    }
}

/// A stored string that isn't a detail of a tally.
#[derive(Debug, thiserror::Error)]
#[error("not a detail of a tally, such as 3>1 or 2=5")]
pub struct NotADetail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_of_rankings_and_scores() {
        let texts =
            |choices: &str| TallyDetail::of(&choices.parse().unwrap()).iter().map(ToString::to_string).collect();
        let of = |choices: &str| -> Vec<String> { texts(choices) };
        assert_eq!(of("[1,3]"), Vec::<String>::new());
        assert_eq!(of("3>1"), ["3>1"]);
        assert_eq!(of("1=0,2=5"), ["1=0", "2=5"]);
        for text in ["3>1", "7", "2=5"] {
            assert_eq!(text.parse::<TallyDetail>().unwrap().to_string(), text);
        }
        for text in ["", "[1]", "1=0,2=5", "3>3"] {
            assert!(text.parse::<TallyDetail>().is_err(), "{text}");
        }
    }
}
