//! What is published is delivered until a worker is done with it.

use throng_backends::queue::rabbitmq::Depth;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{Deliveries, Delivery, Publisher};

use super::ground::on_ground;
use super::{ballots, eventually, within};

/// The ballots of several deliveries, in the order of their ids.
fn together(deliveries: &[Delivery]) -> Vec<Ballot> {
    let mut ballots: Vec<_> = deliveries.iter().flat_map(|delivery| delivery.ballots.clone()).collect();
    ballots.sort_by_key(|ballot| ballot.id);
    ballots
}

#[tokio::test]
async fn what_is_published_is_delivered_and_done_with_once() {
    on_ground(async |ground| {
        let (publisher, depth) = (ground.publisher().await, Depth::new(ground.broker()));
        assert!(publisher.is_ready());
        publisher.publish(&ballots(0, 3)).await.unwrap();
        publisher.publish(&ballots(3, 1)).await.unwrap();
        assert_eq!(depth.messages().await, Some(2));
        let mut worker = ground.worker().await;
        let mut deliveries = Vec::new();
        while deliveries.len() < 2 {
            deliveries.extend(within(5, "a delivery", worker.next(1_000)).await.unwrap());
        }
        assert_eq!(together(&deliveries), ballots(0, 4));
        assert!(deliveries.iter().all(|delivery| delivery.tag.generation == 1 && !delivery.redelivered));
        worker.done(&[deliveries[0].tag, deliveries[1].tag]).await.unwrap();
        drop(worker);
        eventually("nothing is left", async || (depth.messages().await == Some(0)).then_some(())).await;
        drop(ground.worker().await);
        assert_eq!(depth.messages().await, Some(0));
    })
    .await;
}
