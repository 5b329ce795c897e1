//! The result of an instant-runoff count.

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::TieBreak;
use crate::ids::OptionId;

/// The result of an instant-runoff count, round by round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunOff {
    /// The rounds, at least one.
    pub rounds: Vec<Round>,
    /// The winner; `None` if there are no ballots.
    pub winner: Option<OptionId>,
}

/// A round. The counts and the exhausted ballots of each round add up to all ballots.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Round {
    /// Its number, from 1.
    pub round: u32,
    /// How many ballots count for each option that isn't eliminated yet, in the poll's order.
    pub counts: Vec<OptionCount>,
    /// How many ballots count for no option any more, since all options that they rank are eliminated.
    pub exhausted: u64,
    /// The options that this round eliminates: the lowest first, of equal ones that which is last in the poll's order. None in
    /// the last round.
    pub eliminated: Vec<OptionId>,
    /// The tie that had to be broken to eliminate an option or, between the last two, to determine the winner.
    pub tie_broken: Option<BrokenTie>,
}

/// How many ballots count for an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OptionCount {
    /// The option.
    pub id: OptionId,
    /// The number of ballots.
    pub count: u64,
}

/// A tie, and what broke it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct BrokenTie {
    /// The options with the same, lowest count, in the poll's order.
    pub tied: Vec<OptionId>,
    /// What broke it.
    pub by: TieBreak,
    /// The earlier round that broke it; `None` if the order of options did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
}
