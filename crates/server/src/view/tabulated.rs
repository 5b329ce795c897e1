//! What a result has beside the options' counts: the rounds of a ranked poll, the scores of a score poll.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::poll::{Kind, OptionId, Poll};
use throng_domain::tabulation::{Pairwise, Ranking, Round, RunOff, Scored, instant_runoff, pairwise, score};
use throng_domain::tally_detail::TallyDetail;

/// What is tabulated from the details of a poll's tallies.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Tabulated {
    /// Of rankings.
    Ranked {
        /// The rounds, in each of which the options with the fewest ballots are eliminated.
        rounds: Vec<Round>,
        /// The option that has won, so far; `null` without ballots.
        winner: Option<OptionId>,
        /// How many ballots prefer which option to which.
        pairwise: Pairwise,
    },
    /// Of scores.
    Score {
        /// Each option's scores.
        scores: Scored,
    },
}

/// The fields of [`Tabulated`], as they are described: those of one kind, or none.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct TabulatedFields {
    /// Of a ranked poll: the rounds, in each of which the options with the fewest ballots are eliminated.
    #[schemars(skip_serializing_if = "Option::is_none")]
    rounds: Option<Vec<Round>>,
    /// Of a ranked poll: the option that has won, so far; `null` without ballots.
    #[schemars(skip_serializing_if = "Option::is_none")]
    winner: Option<OptionId>,
    /// Of a ranked poll: how many ballots prefer which option to which.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pairwise: Option<Pairwise>,
    /// Of a score poll: each option's scores.
    #[schemars(skip_serializing_if = "Option::is_none")]
    scores: Option<Scored>,
}

impl Tabulated {
    /// Of the poll, whose ballots have these details, each with their number. `None` if its kind has none.
    ///
    /// For a million different rankings it takes about a second.
    pub fn of(poll: &Poll, details: Vec<(TallyDetail, u64)>) -> Option<Self> {
        let options: Vec<_> = poll.options.iter().map(|option| option.id).collect();
        match poll.kind {
            Kind::Single | Kind::Multiple => None,
            Kind::Ranked => {
                let rankings = rankings(details);
                let RunOff { rounds, winner } = instant_runoff(&options, &rankings, &poll.counting.ranked_rule());
                Some(Self::Ranked { rounds, winner, pairwise: pairwise(&options, &rankings) })
            }
            Kind::Score => {
                let scores: Vec<_> = details.into_iter().filter_map(as_score).collect();
                Some(Self::Score { scores: score(&options, &scores, poll.counting.score) })
            }
        }
    }
}

/// The rankings among the details, each with its number of ballots.
pub fn rankings(details: Vec<(TallyDetail, u64)>) -> Vec<(Ranking, u64)> {
    let ranking = |(detail, ballots): (TallyDetail, u64)| match detail {
        TallyDetail::Ranking(options) => Some((options, ballots)),
        TallyDetail::Score(..) => None,
    };
    details.into_iter().filter_map(ranking).collect()
}

fn as_score((detail, ballots): (TallyDetail, u64)) -> Option<(OptionId, u8, u64)> {
    match detail {
        TallyDetail::Score(option, score) => Some((option, score, ballots)),
        TallyDetail::Ranking(_) => None,
    }
}
