//! A poll's tallies beside its ballots.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::poll::{OptionId, Poll};
use throng_domain::store::Recount;

/// Both counts of a poll, in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Recount")]
pub struct RecountView<'a> {
    poll: &'a str,
    equal: bool,
    repaired: bool,
    /// How many voters count.
    pub voters: TalliesAndBallots<'a>,
    /// How often each option counts: the poll's options in their order, then those in ballots that the poll doesn't have.
    pub options: Vec<TalliesAndBallots<'a>>,
}

/// The two counts of an option, or of the voters.
#[derive(Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct TalliesAndBallots<'a> {
    /// The option's id; `None` for the voters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<OptionId>,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
    /// In the tallies.
    pub tallies: u64,
    /// As the ballots add up.
    pub ballots: u64,
}

impl<'a> RecountView<'a> {
    /// What was counted; `repaired`: the tallies were corrected then.
    pub fn new(poll: &'a Poll, counted: &Recount, repaired: bool) -> Self {
        let row = |id: OptionId, label| {
            let (tallies, ballots) = (counted.tallies.count(id), counted.ballots.count(id));
            TalliesAndBallots { id: Some(id), label, tallies, ballots }
        };
        let known = poll.options.iter().map(|option| row(option.id, Some(option.label.as_str())));
        let unknown = counted.ballots.counts.iter().map(|(id, _)| *id);
        let unknown = unknown.filter(|id| poll.options.iter().all(|option| option.id != *id));
        let (tallies, ballots) = (counted.tallies.voters, counted.ballots.voters);
        Self {
            poll: poll.slug.as_str(),
            equal: counted.agrees(),
            repaired,
            voters: TalliesAndBallots { id: None, label: None, tallies, ballots },
            options: known.chain(unknown.map(|id| row(id, None))).collect(),
        }
    }
}
