//! A broker that freezes, or becomes unavailable for a while: the outcome reported for a message is correct, and all
//! connections recover.

use std::cell::Cell;
use std::time::Duration;

use throng_backends::queue::rabbitmq::{RabbitBallotConsumer, RabbitPublisher};
use throng_domain::queue::{BallotConsumer, Delivery, Publisher, QueueError};
use throng_testkit::{ChaosProxy, Fault, eventually_async};

use super::fixture::{Fixture, host, with_fixture};
use super::{ballots, next, within};

/// `connection.blocked`, with the reason `memory`.
const BLOCKED: &[u8] = b"\x01\0\0\0\0\0\x0b\0\x0a\0\x3c\x06memory\xce";

/// `connection.unblocked`.
const UNBLOCKED: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce";

/// `basic.publish`: a broker blocks only the connections on which something was published.
const PUBLISH: &[u8] = b"\0\x3c\0\x28";

/// The fixture through a proxy.
async fn proxied(fixture: &Fixture) -> (ChaosProxy, Fixture) {
    let proxy = ChaosProxy::start(host());
    let fixture = fixture.through(&proxy.address().to_string());
    (proxy, fixture)
}

async fn becomes(publisher: &RabbitPublisher, ready: bool) {
    eventually_async("readiness changes", async || (publisher.is_ready() == ready).then_some(())).await;
}

/// Publishing fails with nothing accepted, and so fast that it can't have waited for the broker each time.
async fn fails_at_once(publisher: &RabbitPublisher) {
    let all = async {
        for _ in 0..100 {
            let error = publisher.publish(&ballots(0, 1)).await.unwrap_err();
            assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        }
    };
    within(60, "each fails at once", all).await;
}

#[tokio::test]
async fn frozen_broker_times_out_then_fails_at_once_then_recovers() {
    with_fixture(async |fixture| {
        let (proxy, fixture) = proxied(&fixture).await;
        let publisher = fixture.publisher().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        proxy.set(Fault::Frozen);
        let messages: Vec<_> = (0..4).map(|first| ballots(first, 1)).collect();
        let [one, two, three, four] = [0, 1, 2, 3].map(|number| publisher.publish(&messages[number]));
        let all = within(4, "the outcomes are reported", async { tokio::join!(one, two, three, four) }).await;
        for outcome in [all.0, all.1, all.2, all.3] {
            assert!(matches!(outcome, Err(QueueError::Unknown(_) | QueueError::Unavailable(_))), "{outcome:?}");
        }
        assert!(!publisher.is_ready());
        fails_at_once(&publisher).await;
        proxy.set(Fault::None);
        within(10, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(9, 1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn frozen_broker_is_detected_without_messages() {
    with_fixture(async |fixture| {
        let (proxy, fixture) = proxied(&fixture).await;
        let publisher = fixture.publisher().await;
        proxy.set(Fault::Frozen);
        within(15, "it is detected", becomes(&publisher, false)).await;
        fails_at_once(&publisher).await;
        proxy.set(Fault::None);
        within(10, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn lost_connection_is_reestablished_each_time() {
    with_fixture(async |fixture| {
        let (proxy, fixture) = proxied(&fixture).await;
        let publisher = fixture.publisher().await;
        for round in 0..3 {
            proxy.set(Fault::Unavailable);
            within(3, "it is detected", becomes(&publisher, false)).await;
            fails_at_once(&publisher).await;
            proxy.set(Fault::None);
            within(5, "it recovers", becomes(&publisher, true)).await;
            publisher.publish(&ballots(round, 1)).await.unwrap();
        }
        assert_eq!(fixture.ready("ballots").await, Some(3));
    })
    .await;
}

/// With several hosts, ballots are sent to the one that responded.
#[tokio::test]
async fn frozen_host_does_not_delay_messages() {
    with_fixture(async |fixture| {
        let (proxy, _) = proxied(&fixture).await;
        proxy.set(Fault::Frozen);
        let publisher = fixture.through(&format!("{},{}", proxy.address(), host())).publisher().await;
        within(2, "it is published", publisher.publish(&ballots(0, 1))).await.unwrap();
        assert!(publisher.is_ready());
    })
    .await;
}

#[tokio::test]
async fn lost_connection_loses_no_confirmed_message() {
    with_fixture(async |fixture| {
        let (proxy, fixture) = proxied(&fixture).await;
        let publisher = fixture.publisher().await;
        let (confirmed, failed) = (Cell::new(0), Cell::new(0));
        let publishing = async {
            for number in 0.. {
                match publisher.publish(&ballots(number, 200)).await {
                    Ok(()) => confirmed.set(confirmed.get() + 1),
                    Err(QueueError::Unknown(_) | QueueError::Unavailable(_)) => failed.set(failed.get() + 1),
                    Err(error @ QueueError::Rejected(_)) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
            }
        };
        let cutting = async {
            for _ in 0..4 {
                let enough = confirmed.get() + 20;
                eventually_async("some are published", async || (confirmed.get() >= enough).then_some(())).await;
                proxy.set(Fault::Unavailable);
                becomes(&publisher, false).await;
                proxy.set(Fault::None);
            }
        };
        tokio::select! {
            () = publishing => unreachable!("it never ends"),
            () = cutting => {}
        }
        becomes(&publisher, true).await;
        let (confirmed, failed) = (confirmed.get(), failed.get());
        assert!(failed > 0, "{confirmed} confirmed, {failed} failed");
        let stored = fixture.ready("ballots").await.unwrap();
        assert!(stored >= confirmed, "{confirmed} were confirmed, {stored} are stored");
    })
    .await;
}

#[tokio::test]
async fn worker_outlives_its_connections() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let (proxy, proxied) = proxied(&fixture).await;
        let mut worker = proxied.worker().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let first = within(5, "a delivery", next(&mut worker, 1)).await.remove(0);
        proxy.set(Fault::Unavailable);
        // The connection is lost, which isn't an error: the ballot is delivered again.
        worker.done(&[first.tag]).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(2), next(&mut worker, 1)).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.set(Fault::None);
        let again = within(10, "it is delivered again", next(&mut worker, 1)).await.remove(0);
        assert_eq!((&again.ballots, again.redelivered, again.tag.generation), (&first.ballots, true, 2));
        // The tag from the first connection would identify another delivery on the second.
        worker.done(&[first.tag]).await.unwrap();
        worker.done(&[again.tag]).await.unwrap();
        publisher.publish(&ballots(1, 1)).await.unwrap();
        let second = within(5, "a delivery", next(&mut worker, 1)).await.remove(0);
        assert_eq!((second.ballots, second.redelivered), (ballots(1, 1), false));
    })
    .await;
}

#[tokio::test]
async fn worker_detects_a_frozen_broker() {
    with_fixture(async |fixture| {
        let (proxy, proxied) = proxied(&fixture).await;
        let mut worker = proxied.worker().await;
        proxy.set(Fault::Frozen);
        let waiting = tokio::time::timeout(Duration::from_secs(14), next(&mut worker, 1)).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.set(Fault::None);
        fixture.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        let delivery = within(10, "a delivery", next(&mut worker, 1)).await.remove(0);
        assert_eq!((delivery.ballots, delivery.tag.generation), (ballots(0, 1), 2));
    })
    .await;
}

/// The next deliveries to a worker that has other work each second, from a broker of which one host may not respond.
async fn delivered_in_time(worker: &mut RabbitBallotConsumer) -> Vec<Delivery> {
    within(40, "a delivery", async {
        loop {
            worker.prepare().await;
            let deliveries = tokio::time::timeout(Duration::from_secs(1), worker.next(1)).await;
            if let Ok(Ok(deliveries)) = deliveries
                && !deliveries.is_empty()
            {
                return deliveries;
            }
        }
    })
    .await
}

#[tokio::test]
async fn worker_reconnects_past_a_host_that_does_not_respond() {
    with_fixture(async |fixture| {
        let proxy = ChaosProxy::start(host());
        let mut worker = fixture.through(&format!("{},{}", proxy.address(), host())).worker().await;
        proxy.set(Fault::Unavailable);
        let is_cut = async || (fixture.consumers("ballots").await == Some(0)).then_some(());
        eventually_async("its connection is cut", is_cut).await;
        proxy.set(Fault::Frozen);
        fixture.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        let delivery = delivered_in_time(&mut worker).await.remove(0);
        assert_eq!((delivery.ballots, delivery.tag.generation), (ballots(0, 1), 2));
    })
    .await;
}

/// The message is set aside on a connection of its own.
#[tokio::test]
async fn unreadable_message_is_set_aside_past_a_frozen_host() {
    with_fixture(async |fixture| {
        let proxy = ChaosProxy::start(host());
        proxy.set(Fault::Unavailable);
        let mut worker = fixture.through(&format!("{},{}", proxy.address(), host())).worker().await;
        proxy.set(Fault::Frozen);
        fixture.publish_raw("ballots", b"junk").await;
        eventually_async("it is delivered", async || (fixture.ready("ballots").await == Some(0)).then_some(())).await;
        let _ = tokio::time::timeout(Duration::from_millis(100), worker.next(1)).await;
        fixture.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        assert_eq!(delivered_in_time(&mut worker).await.remove(0).ballots, ballots(0, 1));
        assert_eq!(fixture.ready("dead").await, Some(1));
    })
    .await;
}

/// RabbitMQ blocks connections when it is short of memory or disk.
#[tokio::test]
async fn blocked_broker_fails_at_once_until_it_is_unblocked() {
    with_fixture(async |fixture| {
        let (proxy, fixture) = proxied(&fixture).await;
        let publisher = fixture.publisher().await;
        let another = publisher.another();
        publisher.publish(&ballots(0, 1)).await.unwrap();
        proxy.send_to_clients_that_sent(PUBLISH, BLOCKED);
        within(1, "it is detected", becomes(&publisher, false)).await;
        // What one publisher has received applies to all.
        assert!(!another.is_ready());
        fails_at_once(&another).await;
        let error = publisher.publish(&ballots(0, 1)).await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        fails_at_once(&publisher).await;
        // It isn't considered frozen.
        let waiting = tokio::time::timeout(Duration::from_secs(7), becomes(&publisher, true)).await;
        assert!(waiting.is_err());
        proxy.send_to_clients_that_sent(PUBLISH, UNBLOCKED);
        within(3, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(1, 1)).await.unwrap();
        another.publish(&ballots(2, 1)).await.unwrap();
    })
    .await;
}
