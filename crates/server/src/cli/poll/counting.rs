//! Flags for how rankings and scores are counted.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as WordError, StrDeserializer};
use throng_domain::counting::CountingEdit;
use throng_domain::tabulation::{ScoreRule, TieBreak};

/// How rankings and scores are counted; what isn't given stays or, in a new poll, has its default.
#[derive(Clone, Copy, Debug, Default, Args)]
#[group(skip)]
pub(super) struct CountingFlags {
    /// Ranked: which of several options with the fewest votes is eliminated: the one that comes last, or the one that had the fewest in
    /// an earlier round [new poll: option_order]
    #[arg(long, value_parser = word::<TieBreak>(&["option_order", "previous_rounds"]))]
    tie_break: Option<TieBreak>,
    /// Ranked: eliminate options together that can't be saved by each other's votes [new poll: false]
    #[arg(long, value_name = "BOOL")]
    batch_elimination: Option<bool>,
    /// Ranked: eliminate options until two are left, also where one has a majority before [new poll: false]
    #[arg(long, value_name = "BOOL")]
    until_two: Option<bool>,
    /// Score: what the best option has most of [new poll: mean]
    #[arg(long, value_parser = word::<ScoreRule>(&["mean", "sum"]))]
    score: Option<ScoreRule>,
    /// Score: highest score that a ballot may give, 1 to 10 [new poll: 5]
    #[arg(long, value_name = "N")]
    score_max: Option<u8>,
}

impl CountingFlags {
    /// The flags, as arguments of a command are known by.
    pub(super) const IDS: [&'static str; 5] = ["tie_break", "batch_elimination", "until_two", "score", "score_max"];

    /// The edit that they ask for.
    pub(super) fn into_edit(self) -> CountingEdit {
        let Self { tie_break, batch_elimination, until_two, score, score_max } = self;
        CountingEdit { tie_break, batch_elimination, until_two, score, score_max }
    }
}

/// A parser for one of these words, as it is written in JSON, which help and completions then list.
fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| {
        let word: StrDeserializer<'_, WordError> = word.as_str().into_deserializer();
        T::deserialize(word)
    })
}
