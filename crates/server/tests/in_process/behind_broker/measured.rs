//! What web node and worker measure of a ballot's way.

use throng_domain::store::StoreError;
use throng_testkit::{NOW, eventually};
use tokio::time::Instant;

use crate::behind_broker::broker::{FakeBroker, Mood};
use crate::behind_broker::{Worker, server};

/// The value of a metric by its full name, labels included.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_ballot_is_measured_at_every_stage() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    let node = |name: &str| metric(server.get("/metrics").text(), name);
    assert_eq!(server.post("/api/submit", b"[1]").status, 200);
    assert_eq!(node("throng_ballots_admitted_total"), 1.0);
    assert_eq!(node("throng_ballots_accepted_total"), 1.0);
    assert_eq!(node("throng_confirm_seconds_count"), 1.0);
    assert_eq!(node("throng_announcements_received_total"), 0.0);
    assert_eq!(node(r#"throng_ballots_total{outcome="counted"}"#), 0.0, "others count");

    store.fail_with(Some(|| StoreError::Unavailable("it is away".into())));
    let worker = Worker::start(&broker, store.clone());
    let recorded = |name: &str| metric(&worker.metrics.text(), name);
    let failed = r#"throng_worker_batches_failed_total{outcome="not_taken"}"#;
    eventually("it was tried", || (recorded(failed) > 0.0).then_some(()));
    worker.clock.set(NOW.plus_ms(7_000));
    assert_eq!(recorded("throng_worker_oldest_ballot_age_seconds"), 7.0);
    store.fail_with(None);
    eventually("all is recorded", || (broker.pending() == 0).then_some(()));
    assert_eq!(recorded("throng_worker_oldest_ballot_age_seconds"), 0.0);
    assert_eq!(recorded("throng_worker_record_lag_seconds_sum"), 7.0);
    assert_eq!(recorded("throng_worker_record_seconds_count"), 1.0);
    assert_eq!(recorded(r#"throng_worker_ballots_total{outcome="counted"}"#), 1.0);
    eventually("all nodes are told", || (recorded("throng_worker_announcements_sent_total") == 1.0).then_some(()));
    eventually("this one has heard", || (node("throng_announcements_received_total") == 1.0).then_some(()));

    worker.end();
}

#[test]
fn ballots_that_come_one_by_one_share_transactions() {
    let broker = FakeBroker::new();
    let (server, store) = server(&broker);
    let began = Instant::now();
    let worker = Worker::start(&broker, store);
    let mut voter = server.connect();
    for _ in 0..50 {
        assert_eq!(voter.request("POST", "/api/submit", &[], b"[1]").status, 200);
    }
    eventually("all is recorded", || (broker.pending() == 0).then_some(()));
    let transactions = metric(&worker.metrics.text(), "throng_worker_record_seconds_count");
    // However slow this machine is: none began sooner than 10 ms after the one before.
    let most = 1.0 + began.elapsed().as_secs_f64() / 0.010;
    worker.end();
    assert!(transactions <= most, "{transactions} transactions where {most:.1} are enough");
    assert_eq!(server.stored_voters(), 50);
}

#[test]
fn what_is_not_taken_is_measured_by_its_reason() {
    let broker = FakeBroker::new();
    let (server, _) = server(&broker);
    broker.set_mood(Mood::Refuses);
    server.post("/api/submit", b"[1]").assert_problem(503, "queue_unavailable");
    broker.set_mood(Mood::LosesConfirms);
    server.post("/api/submit", b"[1]").assert_problem(500, "outcome_unknown");
    let text = server.get("/metrics").text().to_owned();
    for (name, count) in [
        (r#"throng_batches_failed_total{outcome="not_taken"}"#, 1.0),
        (r#"throng_batches_failed_total{outcome="unknown"}"#, 1.0),
        (r#"throng_ballots_refused_total{reason="queue_unavailable"}"#, 1.0),
        (r#"throng_ballots_refused_total{reason="outcome_unknown"}"#, 1.0),
        ("throng_ballots_admitted_total", 2.0),
        ("throng_ballots_accepted_total", 0.0),
    ] {
        assert_eq!(metric(&text, name), count, "{name}");
    }
}
