//! How rankings and scores are counted: what a poll says of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tabulation::{RankedRule, ScoreRule, TieBreak};

/// The highest score that a poll may allow: a page offers every score.
pub const SCORE_MAX: u8 = 10;

/// The most options that voters can be asked to rank.
pub const RANKED_OPTIONS_MAX: usize = 30;

/// How a poll's rankings or scores are counted. Polls of other kinds don't use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counting {
    /// Ranked: which of several options with the fewest votes is eliminated.
    pub tie_break: TieBreak,
    /// Ranked: whether options are eliminated together that can't be saved by each other's votes.
    pub batch_elimination: bool,
    /// Ranked: whether options are eliminated until two are left, also where one has a majority before.
    pub until_two: bool,
    /// Score: what the option with the best result has most of.
    pub score: ScoreRule,
    /// Score: the highest score that a ballot may give; the lowest is 0.
    pub score_max: u8,
}

impl Default for Counting {
    fn default() -> Self {
        let RankedRule { tie_break, batch_elimination, until_two } = RankedRule::default();
        Self { tie_break, batch_elimination, until_two, score: ScoreRule::Mean, score_max: 5 }
    }
}

impl Counting {
    /// The rule by which rankings are counted.
    pub fn ranked_rule(self) -> RankedRule {
        let Self { tie_break, batch_elimination, until_two, .. } = self;
        RankedRule { tie_break, batch_elimination, until_two }
    }

    /// The text under which a store keeps it; `None` if it is as in a new poll.
    pub fn to_stored(self) -> Option<String> {
        // Words and numbers always have a form in JSON.
        (self != Self::default()).then(|| serde_json::to_string(&self).unwrap_or_default())
    }

    /// What that text says.
    ///
    /// # Errors
    /// If it isn't such a text.
    pub fn from_stored(stored: Option<&str>) -> Result<Self, serde_json::Error> {
        stored.map_or(Ok(Self::default()), serde_json::from_str)
    }
}

/// New values for some of it; those that are `None` stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountingEdit {
    /// Which of several options with the fewest votes is eliminated.
    pub tie_break: Option<TieBreak>,
    /// Whether options are eliminated together.
    pub batch_elimination: Option<bool>,
    /// Whether options are eliminated until two are left.
    pub until_two: Option<bool>,
    /// What the option with the best result has most of.
    pub score: Option<ScoreRule>,
    /// The highest score that a ballot may give.
    pub score_max: Option<u8>,
}

impl CountingEdit {
    /// The edit after which it is so.
    pub fn to(counting: Counting) -> Self {
        let Counting { tie_break, batch_elimination, until_two, score, score_max } = counting;
        Self {
            tie_break: Some(tie_break),
            batch_elimination: Some(batch_elimination),
            until_two: Some(until_two),
            score: Some(score),
            score_max: Some(score_max),
        }
    }

    /// What `counting` is after it.
    pub fn apply(self, counting: Counting) -> Counting {
        Counting {
            tie_break: self.tie_break.unwrap_or(counting.tie_break),
            batch_elimination: self.batch_elimination.unwrap_or(counting.batch_elimination),
            until_two: self.until_two.unwrap_or(counting.until_two),
            score: self.score.unwrap_or(counting.score),
            score_max: self.score_max.unwrap_or(counting.score_max),
        }
    }
}
