//! Throng behind a broker: web node and worker as they are, the broker in memory and at the test's word.

mod broker;
mod final_results;
mod measured;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use throng::app::BrokerClients;
use throng::telemetry::metrics::WorkerMetrics;
use throng::worker::{Consumer, ConsumerError, ResultBroadcaster, watch_rounds};
use throng_domain::clock::{Clock, ManualClock};
use throng_domain::queue::Publisher;
use throng_domain::store::{Store, StoreError};
use throng_testkit::{CORES, Connection, GatedStore, NOW, TestServer, eventually};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::broker::{FakeBroker, Mood};

const ID: &str = "018f4d1e-7c00-7000-8000-000000000001";

fn server(broker: &FakeBroker) -> (TestServer, Arc<GatedStore>) {
    let publishers = (0..CORES).map(|_| Arc::new(broker.clone()) as Arc<dyn Publisher>).collect();
    let sides = BrokerClients { queue: "throng".to_owned(), publishers, result_subscriber: Box::new(broker.listen()) };
    TestServer::start_behind(sides)
}

/// A worker on the server's own store.
struct Worker {
    clock: Arc<ManualClock>,
    metrics: WorkerMetrics,
    stop: CancellationToken,
    thread: JoinHandle<Result<(), ConsumerError>>,
}

impl Worker {
    fn start(broker: &FakeBroker, store: Arc<dyn Store>) -> Self {
        Self::start_telling(broker, broker, store)
    }

    fn start_telling(broker: &FakeBroker, told: &FakeBroker, store: Arc<dyn Store>) -> Self {
        let stop = CancellationToken::new();
        let clock = Arc::new(ManualClock::new(NOW));
        let shared: Arc<dyn Clock> = clock.clone();
        let metrics = WorkerMetrics::new(&shared);
        let broadcaster =
            ResultBroadcaster::new(Arc::new(told.clone()), None, shared, Arc::clone(&metrics.broadcaster));
        let broadcaster = Arc::new(broadcaster);
        let last_round = watch::Sender::default();
        let consumer = Consumer {
            deliveries: Box::new(broker.clone()),
            store: Arc::clone(&store),
            broadcaster: Arc::clone(&broadcaster),
            rounds: last_round.subscribe(),
            metrics: metrics.consumer(),
            stop: stop.clone(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let never = CancellationToken::new();
                tokio::select! {
                    ended = consumer.run() => ended,
                    () = watch_rounds(store, last_round) => unreachable!("it reads for ever"),
                    () = broadcaster.run(&never) => unreachable!("it announces for ever"),
                }
            })
        });
        Self { clock, metrics, stop, thread }
    }

    fn end(self) {
        self.stop.cancel();
        self.thread.join().unwrap().unwrap();
    }
}

fn ballot(choices: &str) -> Vec<u8> {
    format!(r#"{{"ballot_id":"{ID}","choices":{choices}}}"#).into_bytes()
}

#[test]
fn a_ballot_is_accepted_before_it_is_counted_and_shown_once_it_is() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    let accepted = server.post("/api/v1/polls/demo/ballots", &ballot("[2]"));
    assert_eq!((accepted.status, accepted.json()["status"].as_str()), (202, Some("accepted")));
    assert_eq!(server.post("/api/submit", b"[1]").text(), r#"{"1":0,"2":0,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.stored_voters(), 0);
    let worker = Worker::start(&broker, store);
    eventually("the result is heard of", || (server.voters() == 2).then_some(()));
    eventually("the broker is told", || (broker.pending() == 0).then_some(()));
    worker.end();
    assert_eq!(server.stored_voters(), 2);
}

/// A form with the id of its ballot.
const FORM: &[u8] = b"choice=2&ballot_id=018f4d1e-7c00-7000-8000-000000000001";

#[test]
fn the_page_says_that_a_vote_is_in_and_not_yet_that_it_is_counted() {
    let broker = FakeBroker::new();
    let (server, _) = server(&broker);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let taken = server.connect().request("POST", "/polls/demo", &form, FORM);
    assert_eq!(taken.status, 303);
    let led_here = [("sec-fetch-site", "same-origin")];
    for page in ["/polls/demo", taken.header("location").unwrap()] {
        let page = server.connect().request("GET", page, &led_here, b"");
        // On the ballot's page in what the script shows after the vote.
        assert!(page.text().contains("Thank you, your vote is in"), "{}", page.text());
        assert!(page.text().contains("It shows in the result in a moment."), "{}", page.text());
        assert!(!page.text().contains("your vote is counted"), "{}", page.text());
    }
}

#[test]
fn a_broker_that_takes_nothing_is_told_as_nothing_taken() {
    let broker = FakeBroker::new();
    let (server, _) = server(&broker);
    assert_eq!(server.get("/readyz").status, 200);
    broker.set_mood(Mood::Refuses);
    let refused = server.post("/api/submit", b"[1]");
    refused.assert_problem(503, "queue_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    server.get("/readyz").assert_problem(503, "queue_unavailable");
    broker.set_mood(Mood::Confirms);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    assert_eq!(broker.pending(), 1);
}

/// Those who voted one by one and wait for their answers: more than may be on their way at once.
fn forty_admitted(server: &TestServer) -> Vec<Connection> {
    let mut clients: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for (sent, client) in (1..).zip(&mut clients) {
        client.send_request("POST", "/api/submit", &[], b"[1]");
        let admitted = format!("throng_ballots_admitted_total {sent}\n");
        eventually("it is admitted", || server.get("/metrics").text().contains(&admitted).then_some(()));
    }
    clients
}

#[test]
fn what_was_admitted_is_published_though_its_clients_are_gone_and_the_server_ends() {
    let broker = FakeBroker::new();
    let (mut server, _) = server(&broker);
    broker.set_mood(Mood::Waits);
    let clients = forty_admitted(&server);
    drop(clients);
    server.begin_stop();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(server.app.shutdown.ended());
    assert_eq!(broker.pending_ballots(), 0);
    broker.set_mood(Mood::Confirms);
    server.join();
    assert_eq!(broker.pending_ballots(), 40);
    assert_eq!(broker.left(), CORES);
}

#[test]
fn a_lost_confirm_is_unknown_and_sending_again_counts_once() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    broker.set_mood(Mood::LosesConfirms);
    server.post("/api/v1/polls/demo/ballots", &ballot("[2]")).assert_problem(500, "outcome_unknown");
    broker.set_mood(Mood::Confirms);
    assert_eq!(server.post("/api/v1/polls/demo/ballots", &ballot("[2]")).status, 202);
    broker.deliver_again();
    let worker = Worker::start(&broker, store);
    eventually("all is recorded", || (broker.pending() == 0).then_some(()));
    worker.end();
    assert_eq!(server.stored_voters(), 1);
}

#[test]
fn a_publish_loop_that_panics_ends_the_server_which_says_so() {
    let broker = FakeBroker::new();
    let (mut server, _) = server(&broker);
    broker.set_mood(Mood::Waits);
    // Those that can't be on their way at once are left at the ballot queues.
    let mut clients = forty_admitted(&server);
    broker.set_mood(Mood::Panics);
    let codes: Vec<_> = clients.iter_mut().map(|client| client.answer().json()["code"].clone()).collect();
    assert!(codes.iter().all(|code| ["outcome_unknown", "queue_unavailable"].iter().any(|known| code == known)));
    assert!(codes.iter().any(|code| code == "queue_unavailable"), "these were never sent");
    assert_eq!(broker.pending_ballots(), 0);
    let failure = server.end().unwrap_err();
    assert!(failure.to_string().contains("ballots can't be recorded any more"), "{failure}");
}

#[test]
fn a_worker_keeps_what_it_has_while_the_store_is_away() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("it was tried more than once", || (store.refused() > 1).then_some(()));
    assert_eq!(broker.pending(), 1);
    // Votes are taken meanwhile.
    assert_eq!(server.post("/api/submit", b"[2]").status, 200);
    store.fail_with(None);
    eventually("all is recorded", || (broker.pending() == 0).then_some(()));
    worker.end();
    assert_eq!(server.stored_voters(), 2);
}

/// The worker has other things to do each second.
#[test]
fn connecting_may_take_longer_than_a_second() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    broker.cut_off_for(Duration::from_millis(2_500));
    let worker = Worker::start(&broker, store);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    eventually("it is recorded", || (broker.pending() == 0).then_some(()));
    worker.end();
}

#[test]
fn the_store_is_maintained_while_it_takes_nothing() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("a batch failed", || (store.refused() > 0).then_some(()));
    let before = store.maintained();
    eventually("it is maintained", || (store.maintained() >= before + 2).then_some(()));
    worker.end();
}

#[test]
fn the_store_is_maintained_while_ballots_keep_coming() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    let worker = Worker::start(&broker, Arc::clone(&store) as _);
    eventually("it is maintained", || {
        assert_eq!(server.post("/api/submit", b"[1]").status, 200);
        (store.maintained() >= 2).then_some(())
    });
    worker.end();
}

#[test]
fn the_close_is_judged_before_a_ballot_is_accepted() {
    let broker = FakeBroker::new();
    let (server, _) = server(&broker);
    server.set_window("demo", Some(NOW), Some(NOW.plus_ms(20)));
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    server.clock.set(NOW.plus_ms(20));
    server.post("/api/submit", b"[1]").assert_problem(410, "poll_closed");
    server.post("/api/v1/polls/demo/ballots", &ballot("[2]")).assert_problem(410, "poll_closed");
    assert_eq!(broker.pending(), 1);
}

#[test]
fn a_result_that_is_older_than_promised_is_asked_for_anew_or_called_stale() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    // A worker that nobody hears: its broadcaster tells another broker.
    let deaf = FakeBroker::new();
    let worker = Worker::start_telling(&broker, &deaf, Arc::clone(&store) as _);
    eventually("it is recorded", || (broker.pending() == 0).then_some(()));
    worker.end();
    let seen = || {
        let results = server.get("/api/v1/polls/demo/results").json();
        (results["voters"].as_u64().unwrap(), results["stale"].as_bool().unwrap())
    };
    assert_eq!(seen(), (0, false));
    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    server.clock.set(NOW.plus_ms(6_001));
    assert_eq!(seen(), (0, true));
    let tags = || server.get("/api/v1/polls/demo/results").header("etag").unwrap().to_owned();
    assert!(tags().contains("stale"));
    store.fail_with(None);
    eventually("the store is asked again", || (seen() == (1, false)).then_some(()));
    assert!(!tags().contains("stale"));
}
