//! The score of a poll's votes, and its reasons.
//!
//! Each reason gives points, which grow evenly from none to all of its own while its measure grows from one value to another.
//! The score is the sum of the points, at most 100. With fewer than 200 votes in the [window](super::window) there is none: 30
//! people in an office, or a school class, are no anomaly.
//!
//! | reason | measure | none at | all at | points |
//! |---|---|---|---|---|
//! | `one_network` | the largest network's share of the votes | 25% | 75% | 70 |
//! | `few_networks` | the share of the eight busiest networks, of those with at least 60 votes | 40% | 90% | 60 |
//! | `one_device` | the votes of the busiest device | 60 | 600 | 40 |
//! | `duplicates` | the share of votes refused since their voter had none left | 10% | 60% | 40 |
//! | `bad_proofs` | the share of votes with an invalid proof of work, or without one and not sent again with one | 10% | 50% | 30 |
//! | `same_choices` | by how much the same choices lead in the votes of those busy networks, if they have 40% of all | 60% | 100% | 15 |
//!
//! Only many votes of few networks reach [`SCORE_ON`](super::SCORE_ON) alone. The other reasons have innocent explanations (voters
//! who try again, a landslide), and need one another.

use super::window::Counts;
use crate::telemetry::metrics::ANOMALY_REASONS;

/// With fewer votes in the window, there is no score.
const VOTES_MIN: f64 = 200.0;

/// The share of all votes from which the choices of busy networks are looked at.
const BUSY_SHARE_MIN: f64 = 0.4;

/// How unusual a poll's votes are, as this node has seen them within the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnomalyReport {
    /// The votes that it is about, counted as [the module](super) says.
    pub votes: u64,
    /// From 0, nothing unusual, to 100.
    pub score: u8,
    /// What the score is made of, with the points of each; none has 0.
    pub reasons: Vec<(Reason, u8)>,
}

/// Why a poll's votes are unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Many come from one network.
    OneNetwork,
    /// Many come from a few busy networks.
    FewNetworks,
    /// One device sends more than a person can.
    OneDevice,
    /// Many are of voters who have none left.
    Duplicates,
    /// Many lack a valid proof of work.
    BadProofs,
    /// Those of few busy networks choose the same.
    SameChoices,
}

impl Reason {
    /// Its name in the log and in metrics.
    pub fn name(self) -> &'static str {
        let [one_network, few_networks, one_device, duplicates, bad_proofs, same_choices] = ANOMALY_REASONS;
        match self {
            Self::OneNetwork => one_network,
            Self::FewNetworks => few_networks,
            Self::OneDevice => one_device,
            Self::Duplicates => duplicates,
            Self::BadProofs => bad_proofs,
            Self::SameChoices => same_choices,
        }
    }
}

/// The report on votes with these counts.
pub fn report(counts: &Counts) -> AnomalyReport {
    let votes = counts.votes as u64;
    if counts.votes < VOTES_MIN {
        return AnomalyReport { votes, ..AnomalyReport::default() };
    }
    let share = |part: f64| part / counts.votes;
    let busy_share = share(counts.busy_networks);
    let lead = if busy_share >= BUSY_SHARE_MIN { counts.busy_lead / counts.busy_networks } else { 0.0 };
    let reasons: Vec<_> = [
        (Reason::OneNetwork, points(share(counts.largest_network), (0.25, 0.75), 70.0)),
        (Reason::FewNetworks, points(busy_share, (0.4, 0.9), 60.0)),
        (Reason::OneDevice, points(counts.busiest_device, (60.0, 600.0), 40.0)),
        (Reason::Duplicates, points(share(counts.duplicates), (0.1, 0.6), 40.0)),
        (Reason::BadProofs, points(share(counts.bad_proofs), (0.1, 0.5), 30.0)),
        (Reason::SameChoices, points(lead, (0.6, 1.0), 15.0)),
    ]
    .into_iter()
    .filter(|(_, points)| *points > 0)
    .collect();
    let score = reasons.iter().fold(0, |sum: u8, (_, points)| sum.saturating_add(*points)).min(100);
    AnomalyReport { votes, score, reasons }
}

/// The points of a reason with this measure: from none to `all`, while it grows within `range`.
fn points(measure: f64, (none_at, all_at): (f64, f64), all: f64) -> u8 {
    // Between 0 and 100.
    (((measure - none_at) / (all_at - none_at)).clamp(0.0, 1.0) * all).round() as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SCORE_ON;
    use super::*;

    const CALM: Counts = Counts {
        votes: 1_000.0,
        largest_network: 10.0,
        busy_networks: 0.0,
        busy_lead: 0.0,
        busiest_device: 2.0,
        duplicates: 50.0,
        bad_proofs: 0.0,
    };

    fn named(report: &AnomalyReport) -> Vec<(&'static str, u8)> {
        report.reasons.iter().map(|(reason, points)| (reason.name(), *points)).collect()
    }

    #[test]
    fn few_votes_have_no_score() {
        let office = Counts { votes: 199.0, largest_network: 199.0, busy_networks: 199.0, ..CALM };
        assert_eq!(report(&office), AnomalyReport { votes: 199, score: 0, reasons: vec![] });
        assert!(report(&Counts { votes: 200.0, ..office }).score >= SCORE_ON);
    }

    #[test]
    fn each_reason_is_named_with_its_points() {
        assert_eq!(report(&CALM), AnomalyReport { votes: 1_000, score: 0, reasons: vec![] });
        for (counts, reasons) in [
            (Counts { largest_network: 500.0, ..CALM }, vec![("one_network", 35)]),
            (Counts { busy_networks: 650.0, ..CALM }, vec![("few_networks", 30)]),
            (Counts { busiest_device: 330.0, ..CALM }, vec![("one_device", 20)]),
            (Counts { duplicates: 350.0, ..CALM }, vec![("duplicates", 20)]),
            (Counts { bad_proofs: 300.0, ..CALM }, vec![("bad_proofs", 15)]),
            (
                Counts { busy_networks: 500.0, busy_lead: 500.0, ..CALM },
                vec![("few_networks", 12), ("same_choices", 15)],
            ),
            (Counts { busy_networks: 300.0, busy_lead: 300.0, ..CALM }, vec![]),
        ] {
            let report = report(&counts);
            assert_eq!(named(&report), reasons, "{counts:?}");
            assert_eq!(report.score, reasons.iter().map(|(_, points)| points).sum::<u8>());
        }
    }

    #[test]
    fn only_few_networks_reach_the_threshold_alone() {
        for (counts, reaches) in [
            (Counts { largest_network: 700.0, ..CALM }, true),
            (Counts { busy_networks: 900.0, ..CALM }, true),
            (Counts { busiest_device: 1_000.0, ..CALM }, false),
            (Counts { duplicates: 1_000.0, ..CALM }, false),
            (Counts { bad_proofs: 1_000.0, ..CALM }, false),
            (Counts { busiest_device: 1_000.0, duplicates: 900.0, ..CALM }, true),
        ] {
            assert_eq!(report(&counts).score >= SCORE_ON, reaches, "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn score_is_within_its_bounds(measures in proptest::array::uniform7(0_f64..1e9)) {
            let [votes, largest_network, busy_networks, busy_lead, busiest_device, duplicates, bad_proofs] = measures;
            let counts =
                Counts { votes, largest_network, busy_networks, busy_lead, busiest_device, duplicates, bad_proofs };
            let report = report(&counts);
            prop_assert!(report.score <= 100);
            prop_assert!(report.reasons.iter().all(|(_, points)| *points > 0));
        }
    }
}
