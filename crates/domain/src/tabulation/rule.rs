//! The rules by which a poll's result is determined, as the poll names them.
//!
//! Those of ranked polls are rules of RCTab, the tabulator of the Ranked Choice Voting Resource Center, for a single winner
//! (`"winnerElectionMode": "singleWinnerMajority"`). Its `config_file_documentation.txt` defines them; the names of its fields are
//! given with ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a ranked poll is counted: instant-runoff voting, with these variants. A missing field has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankedRule {
    /// Which of several options with the fewest ballots is eliminated. RCTab: `tiebreakMode`.
    pub tie_break: TieBreak,
    /// Whether one round may eliminate several options: the largest set of lowest options whose counts add up to less than the
    /// next higher count, since none of them can reach it. If there is no such set, a single one is eliminated. RCTab:
    /// `batchElimination`.
    ///
    /// The winner is the same with it and without it, but for one case: there are fewer rounds that
    /// [`TieBreak::PreviousRounds`] can look at, so a later tie that is broken by an earlier round may be broken otherwise.
    pub batch_elimination: bool,
    /// Whether rounds go on after an option has won, until two options are left, to show how much support the winner has
    /// against the strongest other option. RCTab: `continueUntilTwoCandidatesRemain`.
    pub until_two: bool,
}

/// Which of several tied options is eliminated. Ties are never broken by chance, so that anybody who counts again gets the same
/// result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    /// The one that comes last in the poll's order of options. RCTab: `useCandidateOrder`.
    #[default]
    OptionOrder,
    /// The one that had the fewest ballots in the latest earlier round in which not all of them had the same. If several of them
    /// had the fewest, the rounds before that decide between these; if no round does, the poll's order of options. RCTab:
    /// `previousRoundCountsThenRandom`, with the order of options in place of chance.
    PreviousRounds,
}

/// How a score poll is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRule {
    /// The option with the highest mean of its scores wins: ballots that don't score an option don't count for it.
    #[default]
    Mean,
    /// The option with the highest sum of scores wins: a ballot that doesn't score an option counts as a 0.
    Sum,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_rule_have_defaults_and_unknown_ones_are_refused() {
        let rule = |json| serde_json::from_str::<RankedRule>(json);
        assert_eq!(rule("{}").unwrap(), RankedRule::default());
        let given = RankedRule { tie_break: TieBreak::PreviousRounds, batch_elimination: true, until_two: true };
        let json = r#"{"tie_break":"previous_rounds","batch_elimination":true,"until_two":true}"#;
        assert_eq!(rule(json).unwrap(), given);
        assert_eq!(serde_json::to_string(&given).unwrap(), json);
        assert!(rule(r#"{"batch":true}"#).is_err());
        assert!(rule(r#"{"tie_break":"random"}"#).is_err());
        assert_eq!(serde_json::from_str::<ScoreRule>(r#""sum""#).unwrap(), ScoreRule::Sum);
        assert_eq!(serde_json::to_string(&ScoreRule::default()).unwrap(), r#""mean""#);
    }
}
