//! Ranked and score polls: beside the counts, how many ballots say the same.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::support::*;
use crate::audit::Author;
use crate::ballot::{Ballot, BallotId, Choices, VoterKey};
use crate::counting::Counting;
use crate::new_poll::NewPoll;
use crate::policy::Policy;
use crate::poll::{Kind, OptionId, Poll};
use crate::poll_change::PollChange;
use crate::store::Store;
use crate::tabulation::{ScoreRule, TieBreak};
use crate::tally::TallyChange;
use crate::tally_detail::TallyDetail;
use crate::void::VoidRule;

async fn create_of_kind(store: &dyn Store, slug: &str, kind: Kind) -> Poll {
    done(store.create_poll(NewPoll { kind, ..new_poll(slug) }, &Author::THRONG).await)
}

fn choices(text: &str) -> Choices {
    text.parse().expect("the suite's choices are valid")
}

fn saying(poll: &Poll, number: u128, text: &str) -> Ballot {
    Ballot::unlimited(poll.id, BallotId(Uuid::from_u128(number)), choices(text), OPENS_AT.plus_ms(1))
}

/// The details, each with its ballots; fails where the tallies differ from the ballots.
async fn details(store: &dyn Store, poll: &Poll) -> Vec<(String, u64)> {
    let counted = tallies(store, poll).await;
    let detailed = done(store.detailed_tallies(poll.id).await);
    assert_eq!(detailed.tallies, counted);
    detailed.details.iter().map(|(detail, ballots)| (detail.to_string(), *ballots)).collect()
}

fn expected(details: &[(&str, u64)]) -> Vec<(String, u64)> {
    details.iter().map(|(detail, ballots)| ((*detail).to_owned(), *ballots)).collect()
}

/// How a poll's rankings or scores are counted is kept.
pub async fn rules_of_counting_are_kept(store: &dyn Store) {
    let counting = Counting {
        tie_break: TieBreak::PreviousRounds,
        batch_elimination: true,
        until_two: true,
        score: ScoreRule::Sum,
        score_max: 10,
    };
    for (slug, kind) in [("ranked", Kind::Ranked), ("score", Kind::Score)] {
        let new = NewPoll { kind, counting, ..new_poll(slug) };
        let created = done(store.create_poll(new, &Author::THRONG).await);
        assert_eq!((created.kind, created.counting), (kind, counting));
        assert_eq!(done(store.poll(&created.slug).await), Some(created));
    }
}

/// A ranking counts for its first option, scores with all their points; ballots that say the same are counted together, and each once
/// however often it is sent.
pub async fn equal_rankings_and_scores_are_counted_together(store: &dyn Store) {
    let ranked = create_of_kind(store, "ranked", Kind::Ranked).await;
    let score = create_of_kind(store, "score", Kind::Score).await;
    let batch = [
        saying(&ranked, 1, "3>1>2"),
        saying(&ranked, 2, "3>1>2"),
        saying(&score, 3, "1=5,2=0"),
        saying(&ranked, 4, "1"),
        saying(&score, 5, "1=5,3=2"),
        saying(&ranked, 1, "3>1>2"),
    ];
    record(store, &batch).await;
    record(store, &batch[1..]).await;
    assert_eq!(details(store, &ranked).await, expected(&[("1", 1), ("3>1>2", 2)]));
    assert_eq!(counts(&tallies(store, &ranked).await), [1, 0, 2, 0, 0]);
    assert_eq!(details(store, &score).await, expected(&[("1=5", 2), ("2=0", 1), ("3=2", 1)]));
    assert_eq!(counts(&tallies(store, &score).await), [10, 0, 2, 0, 0]);
    let read = all_ballots(store, &ranked).await;
    assert_eq!(read.iter().filter(|ballot| ballot.choices == choices("3>1>2")).count(), 2);
    let plain = create(store, "plain").await;
    record(store, &[ballot(&plain, 9, &[1, 2])]).await;
    assert_eq!(details(store, &plain).await, []);
}

/// Details are exact also where batches are recorded at the same time.
pub async fn parallel_rankings_count_exactly(store: &dyn Store) {
    let poll = create_of_kind(store, "ranked", Kind::Ranked).await;
    let rankings = ["1>2", "2>1", "3"];
    let batches: Vec<Vec<Ballot>> = (0..6u128)
        .map(|batch| {
            (0..30).map(|number| saying(&poll, batch * 20 + number, rankings[(number % 3) as usize])).collect()
        })
        .collect();
    // Ballots of neighbouring batches have the same numbers, and some of them other rankings.
    record_at_once(store, &batches).await;
    let counted: u64 = details(store, &poll).await.iter().map(|(_, ballots)| ballots).sum();
    assert_eq!(counted, 5 * 20 + 30);
}

/// Whatever ballots are replaced, withdrawn and voided, the details are those of the ballots that count.
pub async fn details_are_of_the_ballots_that_count(store: &dyn Store) {
    let new = NewPoll { kind: Kind::Ranked, policy: Policy::Device, changeable: true, ..new_poll("ranked") };
    let changeable = done(store.create_poll(new, &Author::THRONG).await);
    let rankings = ["1>2>3", "2>1", "3>2", "3", "1"];
    let mut random = Random(7);
    let mut latest: BTreeMap<u8, Option<&str>> = BTreeMap::new();
    for number in 0..60 {
        let voter = random.below(8) as u8;
        let said = rankings.get(random.below(6) as usize).copied();
        let (id, at) = (BallotId(Uuid::from_u128(number)), OPENS_AT.plus_ms(number as i64 + 1));
        let (key, poll) = (VoterKey([voter; 15]), changeable.id);
        let cast = match said {
            Some(said) => Ballot::of_voter(poll, Policy::Device, key, id, choices(said), at),
            None => Ballot::withdrawal(poll, Policy::Device, key, id, at),
        };
        record(store, &[cast]).await;
        latest.insert(voter, said);
    }
    let mut model: BTreeMap<TallyDetail, u64> = BTreeMap::new();
    for said in latest.into_values().flatten() {
        for detail in TallyDetail::of(&choices(said)) {
            *model.entry(detail).or_default() += 1;
        }
    }
    details(store, &changeable).await;
    assert_eq!(done(store.detailed_tallies(changeable.id).await).details, model.into_iter().collect::<Vec<_>>());

    let poll = create_of_kind(store, "voided", Kind::Ranked).await;
    record(store, &[saying(&poll, 101, "3>1"), saying(&poll, 102, "1>3"), saying(&poll, 103, "2>1")]).await;
    let rule = VoidRule { choices: Some(vec![OptionId(1), OptionId(3)]), ..VoidRule::default() };
    let voided = done(store.change_poll(poll.id, poll.version, PollChange::Void(rule), &Author::THRONG).await);
    let correction = done(store.recount(poll.id).await).correction();
    done(store.change_poll(poll.id, voided.version, PollChange::Applied(correction), &Author::THRONG).await);
    record(store, &[saying(&poll, 104, "3>1"), saying(&poll, 105, "2>1")]).await;
    assert_eq!(details(store, &poll).await, expected(&[("2>1", 2)]));
}

/// A recount finds details that aren't those of the ballots, and corrects them.
pub async fn wrong_details_are_found_by_a_recount(store: &dyn Store) {
    let poll = create_of_kind(store, "ranked", Kind::Ranked).await;
    record(store, &[saying(&poll, 1, "3>1"), saying(&poll, 2, "1")]).await;
    let stray = BTreeMap::from([
        (TallyDetail::of(&choices("2>1"))[0].clone(), 1),
        (TallyDetail::of(&choices("1"))[0].clone(), -1),
    ]);
    done(store.change_tallies(&TallyChange { details: stray, ..TallyChange::none(poll.id) }).await);
    let recount = done(store.recount(poll.id).await);
    assert!(recount.tallies.counts_equal(&recount.ballots) && !recount.agrees(), "{recount:?}");
    done(store.change_tallies(&recount.correction()).await);
    assert_eq!(details(store, &poll).await, expected(&[("1", 1), ("3>1", 1)]));
}
