//! Results told to all nodes.

use throng_backends::queue::MessageKey;
use throng_backends::queue::rabbitmq::{RabbitResultPublisher, RabbitResultSubscriber};
use throng_domain::poll::{OptionId, PollId};
use throng_domain::queue::{QueueError, ResultPublisher, ResultSubscriber};
use throng_domain::tally::Tallies;

use super::ground::{host, on_ground};
use super::proxy::{Mood, Proxy};
use super::{eventually, within};

fn tallies(seq: u64) -> Vec<Tallies> {
    let counts = [(OptionId(1), seq), (OptionId(2), 0)].into_iter().collect();
    vec![Tallies { poll: PollId(7), seq, voters: seq, counts }]
}

/// The newest that a node hears, once it is `seq`.
async fn hears(node: &mut RabbitResultSubscriber, seq: u64) {
    within(10, "an announcement", async { while node.next().await != tallies(seq) {} }).await;
}

#[tokio::test]
async fn every_node_hears_what_is_announced() {
    on_ground(async |ground| {
        let result_publisher = ground.result_publisher().await;
        // Nobody listens, which is no error.
        result_publisher.publish(&tallies(1)).await.unwrap();
        let (mut one, mut other) = (ground.node().await, ground.node().await);
        for seq in 2..50 {
            result_publisher.publish(&tallies(seq)).await.unwrap();
            assert_eq!(within(5, "an announcement", one.next()).await, tallies(seq));
        }
        for seq in 2..50 {
            assert_eq!(within(5, "an announcement", other.next()).await, tallies(seq));
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_does_not_listen_misses_the_oldest_and_hears_the_newest() {
    on_ground(async |ground| {
        let (result_publisher, mut node) = (ground.result_publisher().await, ground.node().await);
        for seq in 1..=200 {
            result_publisher.publish(&tallies(seq)).await.unwrap();
        }
        let mut heard = 0;
        within(10, "the newest", async {
            while node.next().await != tallies(200) {
                heard += 1;
            }
        })
        .await;
        assert!(heard < 100, "{heard} were kept for it");
    })
    .await;
}

#[tokio::test]
async fn what_others_announce_is_passed_over() {
    on_ground(async |ground| {
        let mut node = ground.node().await;
        let forger = RabbitResultPublisher::connect(ground.broker(), MessageKey::new(&[8; 32])).await.unwrap();
        forger.publish(&tallies(1)).await.unwrap();
        ground.result_publisher().await.publish(&tallies(2)).await.unwrap();
        assert_eq!(within(5, "an announcement", node.next()).await, tallies(2));
    })
    .await;
}

#[tokio::test]
async fn announcements_stop_with_the_broker_and_go_on_with_it() {
    on_ground(async |ground| {
        let proxy = Proxy::start(host()).await;
        let proxied = ground.by_way_of(&proxy.host());
        let (result_publisher, mut node) = (proxied.result_publisher().await, proxied.node().await);
        result_publisher.publish(&tallies(1)).await.unwrap();
        hears(&mut node, 1).await;
        proxy.be(Mood::Away);
        eventually("nothing is announced", async || {
            let announced = result_publisher.publish(&tallies(2)).await;
            matches!(announced, Err(QueueError::Unavailable(_))).then_some(())
        })
        .await;
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), node.next()).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.be(Mood::Passes);
        let again = ground.result_publisher().await;
        let announcing = eventually("it is listened to", async || {
            again.publish(&tallies(3)).await.unwrap();
            None::<()>
        });
        tokio::select! {
            () = announcing => {}
            () = hears(&mut node, 3) => {}
        }
        eventually("it announces again", async || result_publisher.publish(&tallies(4)).await.ok()).await;
        hears(&mut node, 4).await;
    })
    .await;
}
