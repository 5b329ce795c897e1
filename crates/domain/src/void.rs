//! Ballots that don't count, by rules that an operator sets: the remedy when a part of a vote is doubted.
//!
//! No ballot is changed or deleted. A poll has a list of rules, and a ballot is void while one of them applies to it, whenever it was
//! recorded: so what counts is a function of the ballots and the rules, and can be counted again at any time. A rule that is undone
//! stays in the list, and applies to nothing.

use serde::{Deserialize, Serialize};

use crate::ballot::{BallotKey, Choices, VoterKey};
use crate::clock::Timestamp;
use crate::ids::OptionId;

/// The most rules that a poll may have, undone ones included.
pub const VOIDS_MAX: usize = 100;

/// Which ballots are void: those that fit all of the given conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoidRule {
    /// Those that arrived at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Those that arrived before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those of this voter, by the pseudonym: with the policy `network`, of this network on one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voter: Option<VoterKey>,
    /// Those that chose exactly these options, in whatever order or with whatever scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<OptionId>>,
}

/// A rule of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// Its number in its poll, from 1.
    pub number: u32,
    /// Which ballots are void.
    #[serde(flatten)]
    pub rule: VoidRule,
    /// Whether it was undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// Whether the tallies agree with it: not before the ballots were counted again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub applied: bool,
}

impl VoidRule {
    /// Whether it applies to the ballot of a poll with this key, time of arrival and choices.
    pub fn applies_to(&self, key: BallotKey, accepted_at: Timestamp, choices: &Choices) -> bool {
        self.from.is_none_or(|from| accepted_at >= from)
            && self.until.is_none_or(|until| accepted_at < until)
            && self.voter.is_none_or(|voter| key.voter() == voter)
            && self.choices.as_deref().is_none_or(|exactly| choices.ascending().as_slice() == exactly)
    }

    /// Why it can't be a rule of a poll whose policy identifies voters, or doesn't.
    ///
    /// # Errors
    /// The message.
    pub fn check(&self, identifies_voters: bool) -> Result<(), String> {
        if *self == Self::default() {
            return Err("every ballot would be void; give a time, a voter or choices".to_owned());
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from >= until
        {
            return Err("no ballot arrives from a time on and before an earlier one".to_owned());
        }
        if self.voter.is_some() && !identifies_voters {
            return Err("the poll's policy `unlimited` knows no voters; give a time or choices".to_owned());
        }
        Ok(())
    }
}

/// Whether one of the rules applies to a ballot. A withdrawal is what its voter wanted, whenever it arrived, so none applies to it.
pub fn is_void(voids: &[Void], key: BallotKey, accepted_at: Timestamp, choices: &Choices) -> bool {
    !choices.is_blank() && voids.iter().any(|void| !void.undone && void.rule.applies_to(key, accepted_at, choices))
}

/// The text under which a store keeps a poll's rules; `None` if there is none.
pub fn to_stored(voids: &[Void]) -> Option<String> {
    // Rules are numbers, times and lists of numbers.
    (!voids.is_empty()).then(|| serde_json::to_string(voids).unwrap_or_default())
}

/// The rules from that text.
///
/// # Errors
/// If it isn't such a text.
pub fn from_stored(stored: Option<&str>) -> Result<Vec<Void>, serde_json::Error> {
    stored.map_or(Ok(Vec::new()), serde_json::from_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_applies_to_ballots_that_fit_all_conditions() {
        let key = BallotKey::of_voter(VoterKey([7; 15]), 3);
        let choices = Choices::new([OptionId(2), OptionId(1)]).unwrap();
        let at = |ms, rule: &VoidRule| rule.applies_to(key, Timestamp(ms), &choices);
        let window = VoidRule { from: Some(Timestamp(10)), until: Some(Timestamp(20)), ..VoidRule::default() };
        assert_eq!([9, 10, 19, 20].map(|ms| at(ms, &window)), [false, true, true, false]);
        let voter = VoidRule { voter: Some(VoterKey([7; 15])), ..window.clone() };
        assert!(at(10, &voter) && !at(9, &voter));
        assert!(!at(10, &VoidRule { voter: Some(VoterKey([8; 15])), ..window }));
        let exactly = |ids: &[u16]| VoidRule {
            choices: Some(ids.iter().map(|id| OptionId(*id)).collect()),
            ..VoidRule::default()
        };
        assert!(at(0, &exactly(&[1, 2])) && !at(0, &exactly(&[1])));
    }

    #[test]
    fn undone_rule_applies_to_nothing() {
        let (key, choices) = (BallotKey([1; 16]), Choices::new([OptionId(1)]).unwrap());
        let rule = VoidRule { from: Some(Timestamp(0)), ..VoidRule::default() };
        let mut voids = vec![Void { number: 1, rule, undone: false, applied: true }];
        assert!(is_void(&voids, key, Timestamp(5), &choices));
        assert_eq!(from_stored(to_stored(&voids).as_deref()).unwrap(), voids);
        voids[0].undone = true;
        assert!(!is_void(&voids, key, Timestamp(5), &choices));
        assert_eq!((to_stored(&[]), from_stored(None).unwrap()), (None, vec![]));
    }

    #[test]
    fn rule_without_a_meaning_is_refused() {
        let rule = VoidRule::default;
        let at = |ms| Some(Timestamp(ms));
        for (rule, part) in [
            (rule(), "every ballot"),
            (VoidRule { from: at(5), until: at(5), ..rule() }, "earlier"),
            (VoidRule { voter: Some(VoterKey([1; 15])), ..rule() }, "knows no voters"),
        ] {
            assert!(rule.check(false).unwrap_err().contains(part), "{part}");
        }
        assert_eq!(VoidRule { voter: Some(VoterKey([1; 15])), ..rule() }.check(true), Ok(()));
    }
}
