//! Published ballots are delivered until a worker acknowledges them.

use std::sync::Arc;

use throng_backends::queue::Depth;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{BallotConsumer, Delivery, DeliveryTag, Messages, Publisher, QueueError};
use throng_testkit::eventually_async;

use super::fixture::with_fixture;
use super::{ballots, next, within};

/// The next `messages` deliveries.
async fn take(worker: &mut impl BallotConsumer, messages: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < messages {
        deliveries.extend(within(10, "a delivery", next(worker, 1_000)).await);
    }
    assert_eq!(deliveries.len(), messages);
    deliveries
}

/// The ballots of several deliveries, in the order of their ids.
fn sorted_ballots(deliveries: &[Delivery]) -> Vec<Ballot> {
    let mut ballots: Vec<_> = deliveries.iter().flat_map(|delivery| delivery.ballots.clone()).collect();
    ballots.sort_by_key(|ballot| ballot.id);
    ballots
}

fn tags(deliveries: &[Delivery]) -> Vec<DeliveryTag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

#[tokio::test]
async fn published_ballots_are_delivered_once() {
    with_fixture(async |fixture| {
        let (publisher, depth) = (fixture.publisher().await, Depth::new(fixture.broker()));
        assert!(publisher.is_ready());
        publisher.publish(&ballots(0, 3)).await.unwrap();
        publisher.publish(&ballots(3, 1)).await.unwrap();
        assert_eq!(depth.messages().await, Some(Messages { ballots: 2, dead: 0, consumers: 0 }));
        let mut worker = fixture.worker().await;
        let deliveries = take(&mut worker, 2).await;
        // Messages that a worker holds unacknowledged aren't ready any more.
        assert_eq!(depth.messages().await, Some(Messages { ballots: 0, dead: 0, consumers: 1 }));
        assert_eq!(sorted_ballots(&deliveries), ballots(0, 4));
        assert!(deliveries.iter().all(|delivery| delivery.tag.generation == 1 && !delivery.redelivered));
        worker.done(&tags(&deliveries)).await.unwrap();
        // A repeated acknowledgement is harmless: if it were sent, the broker would close the connection.
        worker.done(&tags(&deliveries)).await.unwrap();
        publisher.publish(&ballots(4, 1)).await.unwrap();
        let third = take(&mut worker, 1).await;
        assert_eq!((sorted_ballots(&third), third[0].tag.generation), (ballots(4, 1), 1));
        worker.done(&tags(&third)).await.unwrap();
        drop(worker);
        eventually_async("nothing is left", async || {
            (depth.messages().await == Some(Messages { ballots: 0, dead: 0, consumers: 0 })).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn unacknowledged_ballots_are_delivered_to_the_next_worker() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        for first in 0..3 {
            publisher.publish(&ballots(first, 1)).await.unwrap();
        }
        let mut worker = fixture.worker().await;
        let deliveries = take(&mut worker, 3).await;
        worker.done(&[deliveries[1].tag]).await.unwrap();
        drop(worker);
        let mut worker = fixture.worker().await;
        let again = take(&mut worker, 2).await;
        let expected = [&deliveries[0], &deliveries[2]].map(|delivery| delivery.ballots.clone()).concat();
        assert_eq!(sorted_ballots(&again), expected);
        assert!(again.iter().all(|delivery| delivery.redelivered));
        // Tags from an earlier connection are ignored.
        let earlier = DeliveryTag { generation: 0, ..again[0].tag };
        worker.done(&[earlier]).await.unwrap();
        drop(worker);
        eventually_async("both are ready again", async || (fixture.ready("ballots").await == Some(2)).then_some(()))
            .await;
    })
    .await;
}

#[tokio::test]
async fn large_batch_is_one_message_and_ballots_max_is_kept() {
    with_fixture(async |fixture| {
        let (publisher, mut worker) = (fixture.publisher().await, fixture.worker().await);
        for (first, count) in [(0, 400), (400, 500), (900, 200), (2_000, 5_000)] {
            publisher.publish(&ballots(first, count)).await.unwrap();
        }
        let mut sizes = Vec::new();
        while sizes.len() < 4 {
            let deliveries = within(5, "a delivery", next(&mut worker, 1_000)).await;
            let size: usize = deliveries.iter().map(|delivery| delivery.ballots.len()).sum();
            assert!(size <= 1_000 || deliveries.len() == 1, "{size} ballots in {} messages", deliveries.len());
            sizes.extend(deliveries.iter().map(|delivery| delivery.ballots.len()));
            worker.done(&tags(&deliveries)).await.unwrap();
        }
        assert_eq!(sizes, [400, 500, 200, 5_000]);
        let error = publisher.publish(&ballots(0, 10_001)).await.unwrap_err();
        assert!(matches!(&error, QueueError::Rejected(text) if text.contains("10000")), "{error}");
    })
    .await;
}

/// As on web nodes: one runtime and one publisher per core, none of which is the one that connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_runtime_can_publish() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let cores: Vec<_> = (0..3)
            .map(|core| {
                let publisher = publisher.another();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        for batch in 0..20 {
                            let first = core * 1_000 + batch * 20;
                            let (one, other) = (ballots(first, 10), ballots(first + 10, 10));
                            let both = tokio::join!(publisher.publish(&one), publisher.publish(&other));
                            assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
                        }
                    });
                })
            })
            .collect();
        let joined = tokio::task::spawn_blocking(|| cores.into_iter().for_each(|core| core.join().unwrap()));
        within(30, "all is published", joined).await.unwrap();
        assert_eq!(fixture.ready("ballots").await, Some(120));
    })
    .await;
}

/// The connection that it used has ended with the runtime.
#[tokio::test]
async fn publisher_outlives_its_runtime() {
    with_fixture(async |fixture| {
        let publisher = Arc::new(fixture.publisher().await);
        for round in 0..2 {
            let publisher = Arc::clone(&publisher);
            let thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(publisher.publish(&ballots(round, 1)))
            });
            tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap().unwrap();
        }
        publisher.publish(&ballots(2, 1)).await.unwrap();
        assert_eq!(fixture.ready("ballots").await, Some(3));
    })
    .await;
}
