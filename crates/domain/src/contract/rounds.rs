//! Rounds: each has its own number and time, and every consumer one report.

use super::support::done;
use crate::clock::{Clock as _, SystemClock};
use crate::rounds::{ConsumerReport, QUEUE_NAME_MAX, REPORTS_KEPT};
use crate::store::Store;

/// By how much the database's clock may differ from this machine's, in milliseconds.
const CLOCKS_MS: i64 = 2_000;

/// Each round has the next number, which all callers see, and a time before it began.
pub async fn rounds_have_a_number_and_a_time(store: &dyn Store) {
    assert_eq!(done(store.round().await), 0);
    let before = SystemClock.now();
    for number in 1..=3 {
        let begun = done(store.begin_round(0).await);
        assert_eq!((begun.number, done(store.round().await)), (number, number));
        let (since, until) = (before.plus_ms(-CLOCKS_MS), SystemClock.now().plus_ms(CLOCKS_MS));
        assert!(since <= begun.began_at && begun.began_at <= until, "{begun:?}: {since:?} to {until:?}");
    }
}

/// Nodes that begin rounds at the same time begin different ones.
pub async fn concurrent_rounds_have_distinct_numbers(store: &dyn Store) {
    let begin = async || done(store.begin_round(0).await).number;
    let (a, b, c, d) = tokio::join!(begin(), begin(), begin(), begin());
    let mut numbers = [a, b, c, d];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

/// A node that begins a round soon after another gets that node's round, with its time.
pub async fn recent_round_is_not_replaced(store: &dyn Store) {
    const LONG_MS: i64 = 600_000;
    let begun = done(store.begin_round(LONG_MS).await);
    assert_eq!(begun.number, 1);
    let (a, b) = tokio::join!(store.begin_round(LONG_MS), store.begin_round(LONG_MS));
    assert_eq!((done(a), done(b), done(store.round().await)), (begun, begun, 1));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let next = done(store.begin_round(10).await);
    assert!(next.number == 2 && next.began_at > begun.began_at, "{next:?} after {begun:?}");
}

/// A queue that several nodes register is stored once.
pub async fn queues_are_registered_once(store: &dyn Store) {
    assert_eq!(done(store.queues().await), [""; 0]);
    let (a, b) = tokio::join!(store.add_queue("throng"), store.add_queue("throng"));
    done(a.and(b));
    let long = format!("Throng-2@{}", "x".repeat(QUEUE_NAME_MAX - 9));
    done(store.add_queue(&long).await);
    assert_eq!(done(store.queues().await), [long.as_str(), "throng"]);
}

/// A consumer's report replaces the one before; reports to earlier rounds than requested aren't returned.
pub async fn last_report_of_a_consumer_is_kept(store: &dyn Store) {
    assert_eq!(done(store.reports(0).await), []);
    let first = ConsumerReport { consumer: [1; 16], queue: "throng".to_owned(), joined: 2, round: 3, consumers: 2 };
    let other =
        ConsumerReport { consumer: [255; 16], joined: 0, round: 4, consumers: u32::MAX.into(), ..first.clone() };
    let later = ConsumerReport { round: 5, consumers: 7, ..first.clone() };
    begin(store, 5).await;
    for report in [&first, &other, &later] {
        done(store.report(report).await);
    }
    assert_eq!(sorted(done(store.reports(4).await)), [later.clone(), other]);
    assert_eq!(done(store.reports(5).await), std::slice::from_ref(&later));
    assert_eq!(done(store.reports(6).await), []);
    // The same again, as after a commit whose outcome was unknown.
    done(store.report(&later).await);
    assert_eq!(done(store.reports(5).await), [later]);
}

/// Reports of consumers that are gone don't accumulate.
pub async fn old_reports_are_deleted(store: &dyn Store) {
    let queue = || "throng".to_owned();
    let report =
        |consumer, round| ConsumerReport { consumer: [consumer; 16], queue: queue(), joined: 0, round, consumers: 1 };
    let (old, kept, new) = (report(1, 1), report(2, 2), report(3, 2 + REPORTS_KEPT));
    begin(store, 2 + REPORTS_KEPT).await;
    for report in [&old, &kept, &new] {
        done(store.report(report).await);
    }
    assert_eq!(sorted(done(store.reports(0).await)), [kept, new]);
    assert_eq!(done(store.round().await), 2 + REPORTS_KEPT, "reports begin no round");
}

/// The number may decrease when the database is restored: a report to a round that was lost doesn't count for the round
/// that gets its number.
pub async fn report_to_a_round_not_begun_is_not_stored(store: &dyn Store) {
    let report = |consumer, round| ConsumerReport {
        consumer: [consumer; 16],
        queue: "throng".to_owned(),
        joined: 0,
        round,
        consumers: 1,
    };
    begin(store, 2).await;
    for report in [&report(1, 2), &report(1, 3), &report(2, 3)] {
        done(store.report(report).await);
    }
    assert_eq!(done(store.reports(0).await), [report(1, 2)]);
}

/// Begins that many rounds.
async fn begin(store: &dyn Store, rounds: u64) {
    for _ in 0..rounds {
        done(store.begin_round(0).await);
    }
}

fn sorted(mut reports: Vec<ConsumerReport>) -> Vec<ConsumerReport> {
    reports.sort_by_key(|report| report.consumer);
    reports
}
