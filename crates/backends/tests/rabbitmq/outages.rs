//! A broker that freezes, or goes and comes back: what is said of a message is true, and all mends itself.

use std::cell::Cell;
use std::time::Duration;

use throng_backends::queue::rabbitmq::{RabbitBallotConsumer, RabbitPublisher};
use throng_domain::queue::{BallotConsumer, Delivery, Publisher, QueueError};
use tokio::time::Instant;

use super::ground::{Ground, host, on_ground};
use super::proxy::{Mood, Proxy};
use super::{ballots, eventually, next, within};

/// The ground by way of a proxy.
async fn proxied(ground: &Ground) -> (Proxy, Ground) {
    let proxy = Proxy::start(host()).await;
    let ground = ground.by_way_of(&proxy.host());
    (proxy, ground)
}

async fn becomes(publisher: &RabbitPublisher, ready: bool) {
    eventually("readiness changes", async || (publisher.is_ready() == ready).then_some(())).await;
}

/// Nothing is taken, which is said at once.
async fn refuses_at_once(publisher: &RabbitPublisher) {
    let started = Instant::now();
    let error = publisher.publish(&ballots(0, 1)).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
    assert!(started.elapsed().as_millis() < 100, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_frozen_broker_is_told_in_time_then_refused_at_once_then_used_again() {
    on_ground(async |ground| {
        let (proxy, ground) = proxied(&ground).await;
        let publisher = ground.publisher().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        proxy.be(Mood::Frozen);
        let messages: Vec<_> = (0..4).map(|first| ballots(first, 1)).collect();
        let [one, two, three, four] = [0, 1, 2, 3].map(|number| publisher.publish(&messages[number]));
        let all = within(4, "the outcomes are told", async { tokio::join!(one, two, three, four) }).await;
        for outcome in [all.0, all.1, all.2, all.3] {
            assert!(matches!(outcome, Err(QueueError::Unknown(_) | QueueError::Unavailable(_))), "{outcome:?}");
        }
        assert!(!publisher.is_ready());
        refuses_at_once(&publisher).await;
        proxy.be(Mood::Passes);
        within(10, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(9, 1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_stays_frozen_is_noticed_with_no_message_and_used_again() {
    on_ground(async |ground| {
        let (proxy, ground) = proxied(&ground).await;
        let publisher = ground.publisher().await;
        proxy.be(Mood::Frozen);
        within(15, "it is noticed", becomes(&publisher, false)).await;
        refuses_at_once(&publisher).await;
        proxy.be(Mood::Passes);
        within(10, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_however_often() {
    on_ground(async |ground| {
        let (proxy, ground) = proxied(&ground).await;
        let publisher = ground.publisher().await;
        for round in 0..3 {
            proxy.be(Mood::Away);
            within(3, "it is noticed", becomes(&publisher, false)).await;
            refuses_at_once(&publisher).await;
            proxy.be(Mood::Passes);
            within(5, "it recovers", becomes(&publisher, true)).await;
            publisher.publish(&ballots(round, 1)).await.unwrap();
        }
        assert_eq!(ground.ready("ballots").await, Some(3));
    })
    .await;
}

/// Of several hosts, ballots go to the one that was found to answer.
#[tokio::test]
async fn a_host_that_is_frozen_costs_no_message_its_time() {
    on_ground(async |ground| {
        let (proxy, _) = proxied(&ground).await;
        proxy.be(Mood::Frozen);
        let publisher = ground.by_way_of(&format!("{},{}", proxy.host(), host())).publisher().await;
        within(2, "it is published", publisher.publish(&ballots(0, 1))).await.unwrap();
        assert!(publisher.is_ready());
    })
    .await;
}

#[tokio::test]
async fn while_messages_are_on_their_way_a_cut_loses_none_that_was_confirmed() {
    on_ground(async |ground| {
        let (proxy, ground) = proxied(&ground).await;
        let publisher = ground.publisher().await;
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
                eventually("some are published", async || (confirmed.get() >= enough).then_some(())).await;
                proxy.be(Mood::Away);
                becomes(&publisher, false).await;
                proxy.be(Mood::Passes);
            }
        };
        tokio::select! {
            () = publishing => unreachable!("it goes on for ever"),
            () = cutting => {}
        }
        becomes(&publisher, true).await;
        let (confirmed, failed) = (confirmed.get(), failed.get());
        assert!(failed > 0, "{confirmed} and {failed}");
        let stored = ground.ready("ballots").await.unwrap();
        assert!(stored >= confirmed, "{confirmed} were confirmed, {stored} are there");
    })
    .await;
}

#[tokio::test]
async fn a_worker_outlives_its_connections() {
    on_ground(async |ground| {
        let publisher = ground.publisher().await;
        let (proxy, proxied) = proxied(&ground).await;
        let mut worker = proxied.worker().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let first = within(5, "a delivery", next(&mut worker, 1)).await.remove(0);
        proxy.be(Mood::Away);
        // Its connection is gone, which is no error: the ballot comes again.
        worker.done(&[first.tag]).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(2), next(&mut worker, 1)).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.be(Mood::Passes);
        let again = within(10, "it is delivered again", next(&mut worker, 1)).await.remove(0);
        assert_eq!((&again.ballots, again.redelivered, again.tag.generation), (&first.ballots, true, 2));
        // The first connection's name for it would be the second's for another.
        worker.done(&[first.tag]).await.unwrap();
        worker.done(&[again.tag]).await.unwrap();
        publisher.publish(&ballots(1, 1)).await.unwrap();
        let second = within(5, "a delivery", next(&mut worker, 1)).await.remove(0);
        assert_eq!((second.ballots, second.redelivered), (ballots(1, 1), false));
    })
    .await;
}

#[tokio::test]
async fn a_worker_notices_a_frozen_broker() {
    on_ground(async |ground| {
        let (proxy, proxied) = proxied(&ground).await;
        let mut worker = proxied.worker().await;
        proxy.be(Mood::Frozen);
        let waiting = tokio::time::timeout(Duration::from_secs(14), next(&mut worker, 1)).await;
        assert!(waiting.is_err(), "{waiting:?}");
        proxy.be(Mood::Passes);
        ground.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        let delivery = within(10, "a delivery", next(&mut worker, 1)).await.remove(0);
        assert_eq!((delivery.ballots, delivery.tag.generation), (ballots(0, 1), 2));
    })
    .await;
}

/// What a worker that has other things to do each second is delivered, by a broker of which one host may answer nothing.
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
async fn a_worker_connects_again_past_a_host_that_answers_nothing() {
    on_ground(async |ground| {
        let proxy = Proxy::start(host()).await;
        let mut worker = ground.by_way_of(&format!("{},{}", proxy.host(), host())).worker().await;
        proxy.be(Mood::Away);
        let is_cut = async || (ground.consumers("ballots").await == Some(0)).then_some(());
        eventually("its connection is cut", is_cut).await;
        proxy.be(Mood::Frozen);
        ground.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        let delivery = delivered_in_time(&mut worker).await.remove(0);
        assert_eq!((delivery.ballots, delivery.tag.generation), (ballots(0, 1), 2));
    })
    .await;
}

/// It is set aside on a connection of its own.
#[tokio::test]
async fn what_cannot_be_read_is_set_aside_past_a_host_that_answers_nothing() {
    on_ground(async |ground| {
        let proxy = Proxy::start(host()).await;
        proxy.be(Mood::Away);
        let mut worker = ground.by_way_of(&format!("{},{}", proxy.host(), host())).worker().await;
        proxy.be(Mood::Frozen);
        ground.plant("ballots", b"junk").await;
        eventually("it is delivered", async || (ground.ready("ballots").await == Some(0)).then_some(())).await;
        let _ = tokio::time::timeout(Duration::from_millis(100), worker.next(1)).await;
        ground.publisher().await.publish(&ballots(0, 1)).await.unwrap();
        assert_eq!(delivered_in_time(&mut worker).await.remove(0).ballots, ballots(0, 1));
        assert_eq!(ground.ready("dead").await, Some(1));
    })
    .await;
}

/// What RabbitMQ says when it is short of memory or disk.
#[tokio::test]
async fn a_broker_that_takes_nothing_for_now_is_refused_at_once_until_it_does() {
    on_ground(async |ground| {
        let (proxy, ground) = proxied(&ground).await;
        let publisher = ground.publisher().await;
        let another = publisher.another();
        publisher.publish(&ballots(0, 1)).await.unwrap();
        proxy.say_blocked(true);
        within(1, "it is noticed", becomes(&publisher, false)).await;
        // What one has heard holds for all.
        assert!(!another.is_ready());
        refuses_at_once(&another).await;
        let error = publisher.publish(&ballots(0, 1)).await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        refuses_at_once(&publisher).await;
        // It isn't taken for frozen.
        let waiting = tokio::time::timeout(Duration::from_secs(7), becomes(&publisher, true)).await;
        assert!(waiting.is_err());
        proxy.say_blocked(false);
        within(3, "it recovers", becomes(&publisher, true)).await;
        publisher.publish(&ballots(1, 1)).await.unwrap();
        another.publish(&ballots(2, 1)).await.unwrap();
    })
    .await;
}
