//! Intake, whatever the order in which ballots come and the store fails: each caller gets exactly its own outcome.

mod scripted_store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use throng::intake::{AdmissionCollector, BallotQueue, Disposition, IntakeFailure, Recorder, SubmitError, Submitted};
use throng::results::{LivePolls, ResultSource};
use throng::telemetry::metrics::{DatabaseLogMetrics, Metrics};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::{ManualClock, Timestamp};
use throng_domain::poll::OptionId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::scripted_store::{POLL, ScriptedStore, Step, own_outcome};

/// Turns of the runtime after which a ballot queue that isn't empty never will be.
const TURNS_MAX: usize = 10_000;

/// A voter of the test: when it comes, to which ballot queue, and whether it waits for its answer.
#[derive(Clone, Debug)]
struct Voter {
    turns_before: u8,
    ballot_queue: usize,
    stays: bool,
}

fn voters() -> impl Strategy<Value = Vec<Voter>> {
    let voter = (0..20u8, 0..3usize, prop::bool::weighted(0.8));
    let voter = voter.prop_map(|(turns_before, ballot_queue, stays)| Voter { turns_before, ballot_queue, stays });
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
type Answer = Option<Result<Submitted, SubmitError>>;

/// Has all voters vote; returns their answers in their order, the ballots still waiting, and the recorder's end.
async fn vote(
    voters: &[Voter],
    waiting_max: usize,
    store: Arc<ScriptedStore>,
) -> (Vec<Answer>, usize, Result<(), IntakeFailure>) {
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let ballot_queues: Vec<_> = (0..3).map(|_| BallotQueue::new(waiting_max)).collect();
    let source = ResultSource::of_store(store.clone(), clock.clone());
    let recorder = Recorder {
        ballot_queues: ballot_queues.clone(),
        polls: Arc::new(LivePolls::load("demo".parse().unwrap(), &source).await.unwrap()),
        store,
        clock,
        metrics: Metrics::new(ballot_queues.len(), Box::new(AdmissionCollector(ballot_queues.to_vec()))).intake,
        database_log: DatabaseLogMetrics::default(),
        failure_log: Arc::default(),
        writable: Arc::default(),
        failed: CancellationToken::new(),
    };
    let recorder = recorder.start().unwrap();
    for ballot_queue in &ballot_queues {
        let (ballot_queue, recorder) = (Arc::clone(ballot_queue), recorder.thread());
        tokio::spawn(async move { ballot_queue.run_dispatch(recorder).await });
    }
    let votes = voters.iter().cloned().enumerate().map(|(number, voter)| {
        let ballot_queue = Arc::clone(&ballot_queues[voter.ballot_queue]);
        tokio::spawn(async move {
            for _ in 0..voter.turns_before {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                answer = ballot_queue.submit(ballot(number)) => Some(answer),
                () = tokio::task::yield_now(), if !voter.stays => None,
            }
        })
    });
    let mut answers = Vec::new();
    for vote in votes.collect::<Vec<_>>() {
        let answer = tokio::time::timeout(Duration::from_secs(10), vote).await;
        answers.push(answer.expect("every voter is answered").unwrap());
    }
    ballot_queues.iter().for_each(|ballot_queue| ballot_queue.close());
    let end = recorder.finish();
    // What the recorder handed back last is still to be carried to the ballot queues of voters that went away.
    let waiting = || ballot_queues.iter().map(|ballot_queue| ballot_queue.waiting()).sum();
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
        let dispositions: HashMap<BallotId, Step> = tried.iter().copied().collect();
        prop_assert_eq!(tried.len(), dispositions.len(), "a ballot was brought to the store twice");
        prop_assert_eq!(end.is_err(), dispositions.values().any(|disposition| *disposition == Step::WriteFailed));
        prop_assert_eq!(waiting, 0);
        for (number, answer) in answers.into_iter().enumerate() {
            let Ballot { id, choices, .. } = ballot(number);
            let disposition = dispositions.get(&id);
            match answer {
                Some(Ok(settled)) => {
                    prop_assert_eq!(disposition, Some(&Step::Record));
                    prop_assert_eq!(settled.disposition, Disposition::Recorded(own_outcome(id)));
                    let result: Value = serde_json::from_slice(&settled.result).unwrap();
                    let count = result[choices.as_slice()[0].to_string()].as_u64();
                    prop_assert!(count > Some(0), "its own ballot is missing in {result}");
                }
                Some(Err(SubmitError::Unknown)) => {
                    prop_assert!(matches!(disposition, Some(Step::Unknown | Step::WriteFailed)));
                }
                Some(Err(SubmitError::Unavailable)) => prop_assert!(matches!(disposition, Some(Step::Unavailable) | None)),
                Some(Err(SubmitError::Busy)) => prop_assert_eq!(disposition, None),
                None => {}
            }
        }
    }
}
