//! Random elections, the same ones in each run.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use throng_domain::poll::OptionId;
use throng_domain::tabulation::Ranking;

/// A poll's options in its order, and its rankings with their numbers of ballots.
pub type Election = (Vec<OptionId>, Vec<(Ranking, u64)>);

/// Elections of two to eight options, without end.
pub fn elections() -> impl Iterator<Item = Election> {
    // With few ballots, ties are frequent; with many, they are rare.
    let strategy = prop_oneof![election(6), election(1_000)];
    let mut runner = TestRunner::deterministic();
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).expect("nothing is rejected").current())
}

/// An election of which each ranking has up to `ballots` ballots. One ranking has all options: there are programs that take no
/// notice of an option that no ballot ranks.
fn election(ballots: u64) -> impl Strategy<Value = Election> {
    (2_u16..=8).prop_flat_map(move |count| {
        let shuffled = || Just((1..=count).map(|number| OptionId(number * 3)).collect::<Vec<_>>()).prop_shuffle();
        let ranked = (shuffled(), 1..=usize::from(count), 1..=ballots);
        let ranked = ranked.prop_map(|(order, length, ballots)| (order.into_iter().take(length).collect(), ballots));
        let complete = (shuffled(), 1..=ballots).prop_map(|(order, ballots)| (order.into_iter().collect(), ballots));
        let rankings = (proptest::collection::vec(ranked, 0..20), complete).prop_map(|(mut rankings, complete)| {
            rankings.push(complete);
            distinct(rankings)
        });
        (shuffled(), rankings)
    })
}

/// Each ranking once.
fn distinct(mut rankings: Vec<(Ranking, u64)>) -> Vec<(Ranking, u64)> {
    rankings.sort_unstable();
    rankings.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        if is_same {
            kept.1 += later.1;
        }
        is_same
    });
    rankings
}
