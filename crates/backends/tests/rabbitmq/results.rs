//! Results that are published to all nodes.

use throng_backends::queue::MessageKey;
use throng_backends::queue::rabbitmq::{RabbitResultPublisher, RabbitResultSubscriber};
use throng_domain::poll::{OptionId, PollId};
use throng_domain::queue::{QueueError, ResultPublisher, ResultSubscriber};
use throng_domain::tally::Tallies;
use throng_testkit::{ChaosProxy, Fault, eventually_async};

use super::fixture::{host, with_fixture};
use super::within;

fn tallies(seq: u64) -> Vec<Tallies> {
    let counts = [(OptionId(1), seq), (OptionId(2), 0)].into_iter().collect();
    vec![Tallies { poll: PollId(7), seq, voters: seq, counts }]
}

/// Waits until a node receives the result with this `seq`.
async fn receives(node: &mut RabbitResultSubscriber, seq: u64) {
    within(10, "a result", async { while node.next().await != tallies(seq) {} }).await;
}

#[tokio::test]
async fn published_results_reach_every_node() {
    with_fixture(async |fixture| {
        let result_publisher = fixture.result_publisher().await;
        // There is no subscriber, which isn't an error.
        result_publisher.publish(&tallies(1)).await.unwrap();
        let (mut one, mut other) = (fixture.node().await, fixture.node().await);
        for seq in 2..50 {
            result_publisher.publish(&tallies(seq)).await.unwrap();
            assert_eq!(within(5, "a result", one.next()).await, tallies(seq));
        }
        for seq in 2..50 {
            assert_eq!(within(5, "a result", other.next()).await, tallies(seq));
        }
    })
    .await;
}

#[tokio::test]
async fn slow_node_misses_the_oldest_and_receives_the_newest() {
    with_fixture(async |fixture| {
        let (result_publisher, mut node) = (fixture.result_publisher().await, fixture.node().await);
        for seq in 1..=200 {
            result_publisher.publish(&tallies(seq)).await.unwrap();
        }
        let mut received = 0;
        within(10, "the newest", async {
            while node.next().await != tallies(200) {
                received += 1;
            }
        })
        .await;
        assert!(received < 100, "{received} were kept for it");
    })
    .await;
}

#[tokio::test]
async fn results_under_another_key_are_ignored() {
    with_fixture(async |fixture| {
        let mut node = fixture.node().await;
        let forger = RabbitResultPublisher::connect(fixture.broker(), MessageKey::new(&[8; 32])).await.unwrap();
        forger.publish(&tallies(1)).await.unwrap();
        fixture.result_publisher().await.publish(&tallies(2)).await.unwrap();
        assert_eq!(within(5, "a result", node.next()).await, tallies(2));
    })
    .await;
}

#[tokio::test]
async fn results_stop_and_resume_with_the_broker() {
    with_fixture(async |fixture| {
        let proxy = ChaosProxy::start(host());
        let proxied = fixture.through(&proxy.address().to_string());
        let (result_publisher, mut node) = (proxied.result_publisher().await, proxied.node().await);
        result_publisher.publish(&tallies(1)).await.unwrap();
        receives(&mut node, 1).await;
        proxy.set(Fault::Unavailable);
        eventually_async("nothing is published", async || {
            let published = result_publisher.publish(&tallies(2)).await;
            matches!(published, Err(QueueError::Unavailable(_))).then_some(())
        })
        .await;
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), node.next()).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.set(Fault::None);
        let again = fixture.result_publisher().await;
        let publishing = eventually_async("it is received", async || {
            again.publish(&tallies(3)).await.unwrap();
            None::<()>
        });
        tokio::select! {
            () = publishing => {}
            () = receives(&mut node, 3) => {}
        }
        eventually_async("it publishes again", async || result_publisher.publish(&tallies(4)).await.ok()).await;
        receives(&mut node, 4).await;
    })
    .await;
}
