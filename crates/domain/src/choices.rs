//! What a ballot says: options that are chosen, ranked, or given a score each.

use std::fmt;

use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use crate::ids::OptionId;

/// Options in some order.
pub type Options = SmallVec<[OptionId; 8]>;

/// The options on a ballot: at least one, each once. A withdrawal has none.
///
/// Eight fit without an allocation; scores have one of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    options: Options,
    marks: Marks,
}

/// How a ballot marks its options.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Marks {
    /// All in the same way; they are in ascending order.
    Chosen,
    /// By their order, the most preferred first.
    Ranked,
    /// By these scores, in the options' order, which is ascending.
    Scored(Box<[u8]>),
}

impl Choices {
    /// The given options in ascending order, each once; `None` if there are none.
    ///
    /// ```
    /// use throng_domain::ballot::Choices;
    /// use throng_domain::poll::OptionId;
    ///
    /// let choices = Choices::new([OptionId(3), OptionId(1), OptionId(3)]);
    /// assert_eq!(choices.unwrap().to_string(), "[1,3]");
    /// assert_eq!(Choices::new([]), None);
    /// ```
    pub fn new(options: impl IntoIterator<Item = OptionId>) -> Option<Self> {
        let mut chosen: Options = options.into_iter().collect();
        chosen.sort_unstable();
        chosen.dedup();
        // An option named thousands of times is one choice, and takes no more memory than one.
        chosen.shrink_to_fit();
        (!chosen.is_empty()).then_some(Self { options: chosen, marks: Marks::Chosen })
    }

    /// A ranking, the most preferred option first; `None` if there is no option, or one twice.
    ///
    /// ```
    /// use throng_domain::ballot::Choices;
    /// use throng_domain::poll::OptionId;
    ///
    /// let ranking = Choices::ranking([OptionId(3), OptionId(1)]).unwrap();
    /// assert_eq!(ranking.to_string(), "3>1");
    /// assert_eq!(Choices::ranking([OptionId(3), OptionId(3)]), None);
    /// ```
    pub fn ranking(options: impl IntoIterator<Item = OptionId>) -> Option<Self> {
        let ranked: Options = options.into_iter().collect();
        let mut each = ranked.clone();
        each.sort_unstable();
        let is_valid = !ranked.is_empty() && each.windows(2).all(|pair| pair[0] != pair[1]);
        is_valid.then_some(Self { options: ranked, marks: Marks::Ranked })
    }

    /// Scores of options; `None` if there are none, or two of one option.
    ///
    /// ```
    /// use throng_domain::ballot::Choices;
    /// use throng_domain::poll::OptionId;
    ///
    /// let scores = Choices::scores([(OptionId(2), 5), (OptionId(1), 0)]).unwrap();
    /// assert_eq!(scores.to_string(), "1=0,2=5");
    /// assert_eq!(Choices::scores([(OptionId(2), 5), (OptionId(2), 5)]), None);
    /// ```
    pub fn scores(scores: impl IntoIterator<Item = (OptionId, u8)>) -> Option<Self> {
        let mut scores: Vec<_> = scores.into_iter().collect();
        scores.sort_unstable();
        let is_valid = !scores.is_empty() && scores.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let (options, scores): (Options, Vec<_>) = scores.into_iter().unzip();
        is_valid.then_some(Self { options, marks: Marks::Scored(scores.into()) })
    }

    /// No choices: what a withdrawal has in their place.
    pub fn blank() -> Self {
        Self { options: SmallVec::new(), marks: Marks::Chosen }
    }

    /// Whether there are none.
    pub fn is_blank(&self) -> bool {
        self.options.is_empty()
    }

    /// The options: of a ranking, the most preferred first, otherwise ascending.
    pub fn as_slice(&self) -> &[OptionId] {
        &self.options
    }

    /// The options in ascending order.
    pub fn ascending(&self) -> Options {
        let mut options = self.options.clone();
        options.sort_unstable();
        options
    }

    /// The options whose counts it raises: of a ranking, the first; of scores, those above 0.
    pub fn counted(&self) -> Options {
        match self.form() {
            Form::Chosen(options) => options.into(),
            Form::Ranked(options) => options.iter().take(1).copied().collect(),
            Form::Scored(scores) => scores.iter().filter(|(_, score)| *score > 0).map(|(option, _)| option).collect(),
        }
    }

    /// What the ballot says of its options.
    pub fn form(&self) -> Form<'_> {
        match &self.marks {
            Marks::Chosen => Form::Chosen(&self.options),
            Marks::Ranked => Form::Ranked(&self.options),
            Marks::Scored(scores) => Form::Scored(Scores { options: &self.options, scores }),
        }
    }
}

/// What a ballot says of its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// They are chosen; ascending.
    Chosen(&'a [OptionId]),
    /// They are ranked, the most preferred first.
    Ranked(&'a [OptionId]),
    /// They have scores.
    Scored(Scores<'a>),
}

/// The scores on a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scores<'a> {
    options: &'a [OptionId],
    scores: &'a [u8],
}

impl<'a> Scores<'a> {
    /// Each option with its score, ascending.
    pub fn iter(self) -> impl Iterator<Item = (OptionId, u8)> + 'a {
        self.options.iter().copied().zip(self.scores.iter().copied())
    }
}

/// A list of options, or an object with their scores: `[1,3]`, `{"1":5}`.
impl Serialize for Choices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form() {
            Form::Chosen(options) | Form::Ranked(options) => serializer.collect_seq(options),
            Form::Scored(scores) => serializer.collect_map(scores.iter()),
        }
    }
}

/// The form in which choices are stored: `[1,3]`, a ranking `3>1`, scores `1=0,2=5`.
impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form() {
            Form::Chosen(options) => {
                f.write_str("[")?;
                write_list(f, ",", options)?;
                f.write_str("]")
            }
            Form::Ranked(options) => write_list(f, ">", options),
            Form::Scored(scores) => {
                let scores = scores.iter().enumerate();
                scores.into_iter().try_for_each(|(position, (option, score))| {
                    write!(f, "{}{option}={score}", if position > 0 { "," } else { "" })
                })
            }
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, separator: &str, options: &[OptionId]) -> fmt::Result {
    options
        .iter()
        .enumerate()
        .try_for_each(|(position, option)| write!(f, "{}{option}", if position > 0 { separator } else { "" }))
}

impl std::str::FromStr for Choices {
    type Err = NotChoices;

    fn from_str(stored: &str) -> Result<Self, NotChoices> {
        if stored.starts_with('[') {
            let options: Vec<OptionId> = serde_json::from_str(stored).map_err(|_| NotChoices)?;
            return Ok(Self::new(options).unwrap_or_else(Self::blank));
        }
        if stored.contains('=') {
            let scores = stored.split(',').map(|part| {
                let (option, score) = part.split_once('=')?;
                Some((OptionId(option.parse().ok()?), score.parse().ok()?))
            });
            return scores.collect::<Option<Vec<_>>>().and_then(Self::scores).ok_or(NotChoices);
        }
        let ranked = stored.split('>').map(|option| option.parse().ok().map(OptionId));
        ranked.collect::<Option<Vec<_>>>().and_then(Self::ranking).ok_or(NotChoices)
    }
}

/// A stored string that isn't a ballot's choices.
#[derive(Debug, thiserror::Error)]
#[error("not a ballot's choices, such as [1,3], 3>1 or 1=0,2=5")]
pub struct NotChoices;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn choices_are_sorted_and_counted_once() {
        let choices = Choices::new([OptionId(3), OptionId(1), OptionId(3)]).unwrap();
        assert_eq!(choices.to_string(), "[1,3]");
        assert_eq!(choices.to_string().parse::<Choices>().unwrap(), choices);
        assert_eq!(Choices::new([]), None);
        assert_eq!(
            (Choices::blank().to_string(), "[]".parse::<Choices>().unwrap()),
            ("[]".to_owned(), Choices::blank())
        );
    }

    #[test]
    fn order_of_a_ranking_matters() {
        let ranking = |ids: [u16; 2]| Choices::ranking(ids.map(OptionId)).unwrap();
        assert_ne!(ranking([3, 1]), ranking([1, 3]));
        assert_ne!(ranking([1, 3]), Choices::new([OptionId(1), OptionId(3)]).unwrap());
        assert_eq!((ranking([3, 1]).as_slice()[0], ranking([3, 1]).ascending()[0]), (OptionId(3), OptionId(1)));
        assert_eq!(serde_json::to_string(&ranking([3, 1])).unwrap(), "[3,1]");
        let scores = Choices::scores([(OptionId(2), 5), (OptionId(1), 0)]).unwrap();
        assert_eq!(serde_json::to_string(&scores).unwrap(), r#"{"1":0,"2":5}"#);
    }

    #[test]
    fn other_texts_are_no_choices() {
        for text in ["", "3>", ">3", "3>3", "3>x", "3>70000", "1=", "=1", "1=256", "1=1,1=2", "1=1,", "[1", "1,2", "{}"]
        {
            assert!(text.parse::<Choices>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn stored_choices_are_read_back(marks in vec((any::<u16>(), any::<u8>()), 0..12)) {
            let options = || marks.iter().map(|(option, _)| OptionId(*option));
            let all = [
                Choices::new(options()),
                Choices::ranking(options()),
                Choices::scores(marks.iter().map(|(option, score)| (OptionId(*option), *score))),
            ];
            for choices in all.into_iter().flatten() {
                prop_assert_eq!(choices.to_string().parse::<Choices>().unwrap(), choices);
            }
        }
    }
}
