//! When a result is final behind a broker: once all consumers have said that they recorded what they had been delivered.

use std::sync::Arc;

use throng_domain::clock::{Clock as _, SystemClock, Timestamp};
use throng_domain::queue::BallotConsumer as _;
use throng_domain::rounds::Rounds as _;
use throng_domain::store::StoreError;
use throng_testkit::{GatedStore, TestServer, eventually};

use crate::behind_broker::broker::FakeBroker;
use crate::behind_broker::{Worker, server};

/// How long before now the poll of these tests closed, in milliseconds: long enough for its result to be final.
const CLOSED_AGO_MS: i64 = 61_000;

/// A server whose demo poll closed a minute ago, with a ballot on the queue that arrived before.
fn closed_with_a_ballot(broker: &FakeBroker) -> (TestServer, Arc<GatedStore>) {
    let (server, store, now) = open_until_a_minute_ago(broker);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    server.clock.set(now);
    eventually("it is closing", || (state(&server) == "closing").then_some(()));
    (server, store)
}

/// A server by whose clock the demo poll is about to close, a minute ago; and now.
fn open_until_a_minute_ago(broker: &FakeBroker) -> (TestServer, Arc<GatedStore>, Timestamp) {
    let (server, store) = server(broker);
    let now = SystemClock.now();
    let closes_at = now.plus_ms(-CLOSED_AGO_MS);
    server.clock.set(closes_at.plus_ms(-1_000));
    server.set_window("demo", Some(Timestamp(1)), Some(closes_at));
    (server, store, now)
}

fn state(server: &TestServer) -> String {
    let results = server.get("/api/v1/polls/demo/results").json();
    assert_eq!(results["provisional"], results["state"] != "final", "{results}");
    results["state"].as_str().unwrap().to_owned()
}

/// Waits for some more rounds, in all of which the result has to go on closing.
#[track_caller]
fn goes_on_closing(server: &TestServer, store: &GatedStore) {
    let begun = round(store);
    eventually("more rounds are begun", || {
        assert_eq!(state(server), "closing");
        (round(store) >= begun + 4).then_some(())
    });
}

fn round(store: &GatedStore) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.round()).unwrap()
}

#[test]
fn a_result_is_final_once_a_worker_says_that_all_is_recorded() {
    let broker = FakeBroker::new();
    let (server, store) = closed_with_a_ballot(&broker);
    goes_on_closing(&server, &store);
    let worker = Worker::start(&broker, store);
    eventually("it is final", || (state(&server) == "final").then_some(()));
    assert_eq!(server.stored_voters(), 1);
    worker.end();
}

#[test]
fn a_final_result_has_what_was_not_heard_of() {
    let broker = FakeBroker::new();
    let (server, store, now) = open_until_a_minute_ago(&broker);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("it is heard of", || (server.voters() == 1).then_some(()));
    worker.end();
    assert_eq!([b"[1]", b"[2]"].map(|ballot| server.post("/api/submit", ballot).status), [200, 200]);
    server.clock.set(now);
    eventually("it is closing", || (state(&server) == "closing").then_some(()));
    assert_eq!(server.voters(), 1);
    // Nobody hears what it has counted: its broadcaster tells another broker.
    let worker = Worker::start_telling(&broker, &FakeBroker::new(), store);
    let result = eventually("it is final", || {
        let result = server.get("/api/v1/polls/demo/results").json();
        (result["state"] == "final").then_some(result)
    });
    assert_eq!((&result["voters"], &result["provisional"]), (&3.into(), &false.into()));
    worker.end();
}

#[test]
fn what_a_worker_has_and_cannot_record_holds_the_result() {
    let broker = FakeBroker::new();
    let (server, store) = closed_with_a_ballot(&broker);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("it was tried", || (store.refused() > 0).then_some(()));
    goes_on_closing(&server, &store);
    store.fail_with(None);
    eventually("it is final", || (state(&server) == "final").then_some(()));
    assert_eq!(server.stored_voters(), 1);
    worker.end();
}

#[test]
fn a_consumer_that_does_not_answer_holds_the_result() {
    let broker = FakeBroker::new();
    broker.set_strangers(1);
    let (server, store) = closed_with_a_ballot(&broker);
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("it is recorded", || (broker.pending() == 0).then_some(()));
    goes_on_closing(&server, &store);
    broker.set_strangers(0);
    eventually("it is final", || (state(&server) == "final").then_some(()));
    worker.end();
}

/// As while nodes get a broker one by one, or lose it.
#[test]
fn a_node_without_a_broker_waits_for_the_queues_of_others() {
    let (server, store) = TestServer::start_gated(1_000);
    let broker = FakeBroker::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.add_queue(broker.queue())).unwrap();
    let now = SystemClock.now();
    server.set_window("demo", Some(Timestamp(1)), Some(now.plus_ms(-CLOSED_AGO_MS)));
    server.clock.set(now);
    eventually("it is closing", || (state(&server) == "closing").then_some(()));
    goes_on_closing(&server, &store);
    let worker = Worker::start(&broker, store);
    eventually("it is final", || (state(&server) == "final").then_some(()));
    worker.end();
}
