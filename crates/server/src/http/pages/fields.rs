//! The fields of a ballot form, by the poll's kind.
//!
//! All of them are plain controls, which work with a keyboard, a screen reader and without script: options to tick; for a ranking one
//! list of options for each rank; for scores one list of scores for each option.

use throng_domain::poll::{Kind, OptionId, Poll, PollOption};
use throng_domain::submission::SentChoices;

use super::texts::Texts;

/// The fields of a form.
pub(super) enum Fields<'a> {
    /// A box or a button for each option.
    Ticks(Vec<Tick<'a>>),
    /// A list for each rank, from the first.
    Ranks(Vec<Choice<'a>>),
    /// A list of scores for each option.
    Scores(Vec<Choice<'a>>),
}

/// An option to tick.
pub(super) struct Tick<'a> {
    /// `radio` or `checkbox`.
    pub(super) input: &'static str,
    pub(super) id: OptionId,
    pub(super) label: &'a str,
    pub(super) chosen: bool,
}

/// A list of values, of which one or none is chosen.
pub(super) struct Choice<'a> {
    /// The field's name.
    pub(super) name: String,
    /// What is chosen: a rank, or an option's label.
    pub(super) label: String,
    pub(super) values: Vec<Value<'a>>,
    /// Whether one has to be chosen.
    pub(super) required: bool,
}

/// A value in a list.
pub(super) struct Value<'a> {
    pub(super) value: u16,
    pub(super) text: Text<'a>,
    pub(super) chosen: bool,
}

/// What is shown for a value.
pub(super) enum Text<'a> {
    Label(&'a str),
    Number(u16),
}

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => f.write_str(label),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl<'a> Fields<'a> {
    /// Those of the poll, with what was filled in before.
    pub(super) fn new(poll: &'a Poll, texts: &Texts, filled_in: Option<&SentChoices>) -> Self {
        match poll.kind {
            Kind::Single => Self::Ticks(ticks(poll, "radio", filled_in)),
            Kind::Multiple => Self::Ticks(ticks(poll, "checkbox", filled_in)),
            Kind::Ranked => Self::Ranks(ranks(poll, texts, filled_in)),
            Kind::Score => Self::Scores(scores(poll, filled_in)),
        }
    }
}

fn ticks<'a>(poll: &'a Poll, input: &'static str, filled_in: Option<&SentChoices>) -> Vec<Tick<'a>> {
    let chosen = |id: OptionId| matches!(filled_in, Some(SentChoices::Options(options)) if options.contains(&id));
    let tick = |option: &'a PollOption| {
        let (id, label) = (option.id, option.label.as_str());
        Tick { input, id, label, chosen: chosen(id) }
    };
    poll.options.iter().map(tick).collect()
}

fn ranks<'a>(poll: &'a Poll, texts: &Texts, filled_in: Option<&SentChoices>) -> Vec<Choice<'a>> {
    let at = |rank: u16| match filled_in {
        Some(SentChoices::Ranking(options)) => options.get(usize::from(rank) - 1).copied(),
        Some(SentChoices::Options(_) | SentChoices::Scores(_)) | None => None,
    };
    let rank = |rank: u16| {
        let value = |option: &'a PollOption| Value {
            value: option.id.0,
            text: Text::Label(&option.label),
            chosen: at(rank) == Some(option.id),
        };
        Choice {
            name: "choice".to_owned(),
            label: (texts.rank)(rank),
            values: poll.options.iter().map(value).collect(),
            required: rank <= poll.min_choices,
        }
    };
    (1..=poll.max_choices).map(rank).collect()
}

fn scores<'a>(poll: &'a Poll, filled_in: Option<&SentChoices>) -> Vec<Choice<'a>> {
    let given = |id: OptionId| match filled_in {
        Some(SentChoices::Scores(scores)) => scores.iter().find(|(option, _)| *option == id).map(|(_, score)| *score),
        Some(SentChoices::Options(_) | SentChoices::Ranking(_)) | None => None,
    };
    let choice = |option: &PollOption| {
        let value = |score: u8| Value {
            value: score.into(),
            text: Text::Number(score.into()),
            chosen: given(option.id) == Some(score),
        };
        Choice {
            name: format!("score-{}", option.id),
            label: option.label.clone(),
            values: (0..=poll.counting.score_max).map(value).collect(),
            required: usize::from(poll.min_choices) == poll.options.len(),
        }
    };
    poll.options.iter().map(choice).collect()
}
