//! Rules that void ballots, and what they change.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::ballot::VoterKey;
use throng_domain::poll::{OptionId, Poll};
use throng_domain::store::Recount;
use throng_domain::void::Void;

use super::time::{Rfc3339, rfc3339_text};

/// A rule in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Void")]
pub struct VoidView<'a> {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Rfc3339>")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Rfc3339>")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voter: Option<VoterKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a [OptionId]>,
    /// Whether it was undone.
    undone: bool,
    /// Whether the result agrees with it; if not, that is under way, or was interrupted.
    applied: bool,
}

impl<'a> From<&'a Void> for VoidView<'a> {
    fn from(void: &'a Void) -> Self {
        Self {
            number: void.number,
            from: void.rule.from.map(rfc3339_text),
            until: void.rule.until.map(rfc3339_text),
            voter: void.rule.voter,
            choices: void.rule.choices.as_deref(),
            undone: void.undone,
            applied: void.applied,
        }
    }
}

/// A result before and after a change of the rules, in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "VoidChange")]
pub struct VoidChangeView<'a> {
    poll: &'a str,
    applied: bool,
    void_ballots: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_this_rule: Option<u64>,
    /// How many voters count.
    pub voters: BeforeAfter<'a>,
    /// How often each option counts.
    pub options: Vec<BeforeAfter<'a>>,
}

/// A count before and after.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BeforeAfter<'a> {
    /// The option's id; `None` for the voters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<OptionId>,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl<'a> VoidChangeView<'a> {
    /// The poll's result before and after; `adds`: the change is a new rule, `applied`: it was made.
    pub fn new(poll: &'a Poll, counted: &Recount, adds: bool, applied: bool) -> Self {
        let row = |id, label| BeforeAfter {
            id: Some(id),
            label: Some(label),
            before: counted.tallies.count(id),
            after: counted.ballots.count(id),
        };
        let (before, after) = (counted.tallies.voters, counted.ballots.voters);
        Self {
            poll: poll.slug.as_str(),
            applied,
            void_ballots: counted.voided.all,
            by_this_rule: adds.then_some(counted.voided.by_last),
            voters: BeforeAfter { id: None, label: None, before, after },
            options: poll.options.iter().map(|option| row(option.id, option.label.as_str())).collect(),
        }
    }
}
