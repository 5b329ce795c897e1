//! Intake, whatever the order in which ballots come and the store fails: each caller gets exactly its own outcome.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod scripted_store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use throng::intake::{Desk, Failed, Fate, NotRecorded, Recorder, Settled};
use throng::metrics::{DatabaseLogMetrics, Metrics};
use throng::results::{LivePolls, Origin};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::{ManualClock, Timestamp};
use throng_domain::poll::OptionId;
use throng_domain::store::Outcome;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::scripted_store::{POLL, ScriptedStore, Step};

/// Turns of the runtime after which a desk that isn't empty never will be.
const TURNS_MAX: usize = 10_000;

/// A voter of the test: when it comes, to which desk, and whether it waits for its answer.
#[derive(Clone, Debug)]
struct Voter {
    turns_before: u8,
    desk: usize,
    stays: bool,
}

fn voters() -> impl Strategy<Value = Vec<Voter>> {
    let voter = (0..20u8, 0..3usize, prop::bool::weighted(0.8));
    let voter = voter.prop_map(|(turns_before, desk, stays)| Voter { turns_before, desk, stays });
    prop::collection::vec(voter, 1..60)
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Record),
        3 => Just(Step::Unavailable),
        2 => Just(Step::Unknown),
        1 => Just(Step::WriteFailed),
    ];
    prop::collection::vec(step, 0..10)
}

fn ballot(number: usize) -> Ballot {
    let option = u16::try_from(number % 5).unwrap() + 1;
    let id = BallotId(Uuid::from_u128(number as u128));
    Ballot::unlimited(POLL, id, Choices::new([OptionId(option)]).unwrap(), Timestamp(1))
}

/// What became of a voter: `None` if it went away.
type Answer = Option<Result<Settled, NotRecorded>>;

/// Has all voters vote; returns their answers in their order, the ballots still waiting, and the recorder's end.
async fn vote(
    voters: &[Voter],
    waiting_max: usize,
    store: Arc<ScriptedStore>,
) -> (Vec<Answer>, usize, Result<(), Failed>) {
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let desks: Vec<_> = (0..3).map(|_| Desk::new(waiting_max)).collect();
    let origin = Origin::of_store(store.clone(), clock.clone());
    let recorder = Recorder {
        desks: desks.clone(),
        polls: Arc::new(LivePolls::load("demo".parse().unwrap(), &origin).await.unwrap()),
        store,
        clock,
        metrics: Metrics::new(&desks).intake,
        database_log: DatabaseLogMetrics::default(),
        complaints: Arc::default(),
        writable: Arc::default(),
        failed: CancellationToken::new(),
    };
    let recorder = recorder.start().unwrap();
    for desk in &desks {
        let (desk, recorder) = (Arc::clone(desk), recorder.thread());
        tokio::spawn(async move { desk.carry(recorder).await });
    }
    let votes = voters.iter().cloned().enumerate().map(|(number, voter)| {
        let desk = Arc::clone(&desks[voter.desk]);
        tokio::spawn(async move {
            for _ in 0..voter.turns_before {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                answer = desk.submit(ballot(number)) => Some(answer),
                () = tokio::task::yield_now(), if !voter.stays => None,
            }
        })
    });
    let mut answers = Vec::new();
    for vote in votes.collect::<Vec<_>>() {
        let answer = tokio::time::timeout(Duration::from_secs(10), vote).await;
        answers.push(answer.expect("every voter is answered").unwrap());
    }
    desks.iter().for_each(|desk| desk.close());
    let end = recorder.finish();
    // What the recorder handed back last is still to be carried to the desks of voters that went away.
    let waiting = || desks.iter().map(|desk| desk.waiting()).sum();
    for _ in 0..TURNS_MAX {
        if waiting() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    (answers, waiting(), end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_caller_gets_its_own_outcome(voters in voters(), waiting_max in 1..20usize, script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let store = Arc::new(ScriptedStore::new(script));
        let (answers, waiting, end) = runtime.block_on(vote(&voters, waiting_max, Arc::clone(&store)));

        let tried = store.tried();
        let fates: HashMap<BallotId, Step> = tried.iter().copied().collect();
        prop_assert_eq!(tried.len(), fates.len(), "a ballot was brought to the store twice");
        prop_assert_eq!(end.is_err(), fates.values().any(|fate| *fate == Step::WriteFailed));
        prop_assert_eq!(waiting, 0);
        for (number, answer) in answers.into_iter().enumerate() {
            let Ballot { id, choices, .. } = ballot(number);
            let fate = fates.get(&id);
            match answer {
                Some(Ok(settled)) => {
                    prop_assert_eq!(fate, Some(&Step::Record));
                    prop_assert_eq!(settled.fate, Fate::Recorded(Outcome::KeyTaken { id, choices: choices.clone() }));
                    let result: Value = serde_json::from_slice(&settled.result).unwrap();
                    let count = result[choices.as_slice()[0].to_string()].as_u64();
                    prop_assert!(count > Some(0), "its own ballot is missing in {result}");
                }
                Some(Err(NotRecorded::Unknown)) => {
                    prop_assert!(matches!(fate, Some(Step::Unknown | Step::WriteFailed)));
                }
                Some(Err(NotRecorded::Unavailable)) => prop_assert!(matches!(fate, Some(Step::Unavailable) | None)),
                Some(Err(NotRecorded::Busy)) => prop_assert_eq!(fate, None),
                None => {}
            }
        }
    }
}
