//! Empty checks: what a worker finds on the queues, and when it may report that everything is recorded.

use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions};
use lapin::types::FieldTable;
use throng_backends::queue::Selection;
use throng_backends::queue::rabbitmq::RabbitBallotConsumer;
use throng_domain::ballot::Ballot;
use throng_domain::queue::{BallotConsumer, CheckProgress, Delivery, EmptyCheck, Publisher};
use throng_testkit::{ChaosProxy, Fault, eventually_async};

use super::fixture::{Fixture, connect, host, with_fixture};
use super::{ballots, next, within};

/// The messages that a worker may hold at once.
const PREFETCH: usize = 128;

/// An empty check that found nothing, bound to everything delivered so far.
async fn empty_check(worker: &mut RabbitBallotConsumer) -> Option<EmptyCheck> {
    let mut check = within(10, "an empty check", worker.check_empty()).await?;
    worker.set_bound(&mut check).await;
    Some(check)
}

/// The first empty check that finds nothing.
async fn passing_empty_check(worker: &mut RabbitBallotConsumer) -> EmptyCheck {
    eventually_async("nothing is found", async || empty_check(worker).await).await
}

/// Another consumer of `{prefix}.{queue}`, which acknowledges nothing.
async fn other_consumer(fixture: &Fixture, queue: &str) -> (lapin::Connection, lapin::Consumer) {
    let (connection, channel) = connect().await;
    let name = format!("{}.{queue}", fixture.prefix);
    let consuming =
        channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = consuming.await.unwrap();
    (connection, consumer)
}

async fn take(worker: &mut RabbitBallotConsumer) -> Vec<Delivery> {
    within(10, "a delivery", next(worker, 1_000_000)).await
}

async fn finish(worker: &mut RabbitBallotConsumer, deliveries: &[Delivery]) {
    let tags: Vec<_> = deliveries.iter().map(|delivery| delivery.tag).collect();
    worker.done(&tags).await.unwrap();
}

#[tokio::test]
async fn all_consumers_are_counted() {
    with_fixture(async |fixture| {
        let mut worker = fixture.worker().await;
        assert_eq!(worker.generation(), Some(1));
        let check = passing_empty_check(&mut worker).await;
        assert_eq!((check.generation, check.consumers, worker.progress(&check)), (1, 1, CheckProgress::Recorded));
        let other = fixture.worker().await;
        let (connection, _consumer) = other_consumer(&fixture, "ballots").await;
        assert_eq!(empty_check(&mut worker).await.unwrap().consumers, 3);
        drop(other);
        connection.close(200, "OK".into()).await.unwrap();
        eventually_async("they have disconnected", async || {
            empty_check(&mut worker).await.filter(|check| check.consumers == 1)
        })
        .await;
    })
    .await;
}

/// Nodes and workers use the same name for the queue, which differs in another virtual host.
#[tokio::test]
async fn queue_name_is_the_same_for_nodes_and_workers() {
    with_fixture(async |fixture| {
        let (publisher, worker) = (fixture.publisher().await, fixture.worker().await);
        let name = publisher.queue().to_owned();
        println!("the queue is {name}");
        assert_eq!(worker.queue(), name);
        let (prefix, broker) = name.split_once('@').unwrap();
        assert_eq!(prefix, fixture.prefix);
        assert!(broker.strip_suffix("/%2f").is_some_and(|cluster| !cluster.is_empty()), "{name}");
    })
    .await;
}

/// Whether `next` has returned the delivery or not yet.
#[tokio::test]
async fn deliveries_before_an_empty_check_must_be_recorded() {
    with_fixture(async |fixture| {
        let (publisher, mut worker) = (fixture.publisher().await, fixture.worker().await);
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let held = take(&mut worker).await;
        publisher.publish(&ballots(1, 1)).await.unwrap();
        eventually_async("it is delivered", async || (fixture.ready("ballots").await == Some(0)).then_some(())).await;
        let check = passing_empty_check(&mut worker).await;
        assert_eq!(worker.progress(&check), CheckProgress::Pending);
        finish(&mut worker, &held).await;
        assert_eq!(worker.progress(&check), CheckProgress::Pending, "another message was delivered too");
        let second = take(&mut worker).await;
        assert_eq!(second[0].ballots, ballots(1, 1));
        // Later messages make no difference.
        publisher.publish(&ballots(2, 1)).await.unwrap();
        let third = take(&mut worker).await;
        assert_eq!((third.len(), worker.progress(&check)), (1, CheckProgress::Pending));
        finish(&mut worker, &second).await;
        assert_eq!(worker.progress(&check), CheckProgress::Recorded);
    })
    .await;
}

#[tokio::test]
async fn empty_check_finds_ready_messages_but_not_held_ones() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let (mut holder, mut worker) = (fixture.worker().await, fixture.worker().await);
        for number in 0..2 * PREFETCH + 1 {
            publisher.publish(&ballots(number, 1)).await.unwrap();
        }
        eventually_async("both hold all that they may", async || {
            (fixture.ready("ballots").await == Some(1)).then_some(())
        })
        .await;
        assert_eq!(empty_check(&mut worker).await, None);
        // One worker finishes one message, so the last one is delivered too.
        let some = take(&mut holder).await;
        finish(&mut holder, &some[..1]).await;
        let check = passing_empty_check(&mut worker).await;
        assert_eq!((check.consumers, worker.progress(&check)), (2, CheckProgress::Pending));
        let rest = take(&mut worker).await;
        finish(&mut worker, &rest).await;
        assert_eq!(worker.progress(&check), CheckProgress::Recorded);
    })
    .await;
}

/// A message that arrives between two requests of an empty check is taken off the queue by it, as a delivery like any other.
#[tokio::test]
async fn message_during_an_empty_check_is_delivered_once() {
    const ROUNDS: usize = 100;
    with_fixture(async |fixture| {
        let (publisher, mut worker) = (fixture.publisher().await, fixture.worker().await);
        for number in 0..PREFETCH {
            publisher.publish(&ballots(number, 1)).await.unwrap();
        }
        // No more messages are delivered by the subscription.
        let mut held = Vec::new();
        while held.len() < PREFETCH {
            held.extend(take(&mut worker).await);
        }
        let (_connection, channel) = connect().await;
        let (mut got_by_check, mut got_by_test): (Vec<Ballot>, usize) = (Vec::new(), 0);
        for number in PREFETCH..PREFETCH + ROUNDS {
            let message = ballots(number, 1);
            // A little later each time, so that the message arrives between other requests.
            let checking = async {
                tokio::time::sleep(Duration::from_millis(number as u64 % 10)).await;
                worker.check_empty().await
            };
            let (published, _) = tokio::join!(publisher.publish(&message), checking);
            published.unwrap();
            let name = format!("{}.ballots", fixture.prefix);
            match channel.basic_get(name.into(), BasicGetOptions::default()).await.unwrap() {
                Some(message) => {
                    message.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
                    got_by_test += 1;
                }
                None => {
                    let taken = take(&mut worker).await;
                    finish(&mut worker, &taken).await;
                    got_by_check.extend(taken.into_iter().flat_map(|delivery| delivery.ballots));
                }
            }
        }
        println!("{} were taken off by an empty check, {got_by_test} not", got_by_check.len());
        assert_eq!(got_by_check.len() + got_by_test, ROUNDS);
        let check = passing_empty_check(&mut worker).await;
        assert_eq!(worker.progress(&check), CheckProgress::Pending);
        finish(&mut worker, &held).await;
        assert_eq!(worker.progress(&check), CheckProgress::Recorded);
        drop(worker);
        eventually_async("nothing is delivered again", async || {
            (fixture.ready("ballots").await == Some(0)).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn unreadable_message_voids_an_empty_check() {
    with_fixture(async |fixture| {
        let mut worker = fixture.worker().await;
        fixture.publish_raw("ballots", b"junk").await;
        eventually_async("it is delivered", async || (fixture.ready("ballots").await == Some(0)).then_some(())).await;
        let check = passing_empty_check(&mut worker).await;
        assert_eq!(worker.progress(&check), CheckProgress::Invalid);
        assert_eq!(empty_check(&mut worker).await, None, "the worker holds it");
        assert_eq!(within(10, "it is read", worker.next(1)).await.unwrap(), []);
        within(10, "it is set aside", worker.prepare()).await;
        assert_eq!(fixture.ready("dead").await, Some(1));
        assert_eq!(empty_check(&mut worker).await, None, "it is a dead letter");
        fixture.dead_letters().await.drop(Selection::All).await.unwrap();
        let check = passing_empty_check(&mut worker).await;
        assert_eq!(worker.progress(&check), CheckProgress::Recorded);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_found_while_they_are_listed() {
    with_fixture(async |fixture| {
        let mut worker = fixture.worker().await;
        let proxy = ChaosProxy::start(host());
        let letters = fixture.through(&proxy.address().to_string()).dead_letters().await;
        fixture.publish_raw("dead", b"0").await;
        let listing = async {
            loop {
                assert!(letters.list(100).await.unwrap().len() <= 1);
            }
        };
        let checking = async {
            let mut held = 0;
            for delay_ms in 0.. {
                tokio::time::sleep(Duration::from_millis(delay_ms % 20)).await;
                // A client that holds the letter holds it as long as the proxy is frozen.
                proxy.set(Fault::Frozen);
                tokio::time::sleep(Duration::from_millis(30)).await;
                if fixture.ready("dead").await == Some(0) {
                    assert_eq!(worker.check_empty().await, None, "a client holds it");
                    held += 1;
                }
                proxy.set(Fault::None);
                if held == 5 {
                    break;
                }
            }
        };
        tokio::select! {
            () = listing => {}
            () = within(60, "it is held", checking) => {}
        }
        // The interrupted listing ends with its connection.
        drop(letters);
        let letters = fixture.dead_letters().await;
        eventually_async("it is ready again", async || (fixture.ready("dead").await == Some(1)).then_some(())).await;
        // A slow consumer that holds them.
        let mut worker = fixture.worker().await;
        let (connection, _consumer) = other_consumer(&fixture, "dead").await;
        eventually_async("they are delivered", async || (fixture.ready("dead").await == Some(0)).then_some(())).await;
        assert_eq!(empty_check(&mut worker).await, None);
        connection.close(200, "OK".into()).await.unwrap();
        eventually_async("they are ready again", async || (fixture.ready("dead").await == Some(1)).then_some(())).await;
        assert_eq!(empty_check(&mut worker).await, None);
        assert_eq!(letters.drop(Selection::All).await.unwrap(), 1);
        passing_empty_check(&mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn empty_check_is_void_after_its_connection() {
    with_fixture(async |fixture| {
        let proxy = ChaosProxy::start(host());
        let mut worker = fixture.through(&proxy.address().to_string()).worker().await;
        let publisher = fixture.publisher().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let held = take(&mut worker).await;
        let check = passing_empty_check(&mut worker).await;
        proxy.set(Fault::Unavailable);
        // The lost connection is detected when it is used.
        eventually_async("it is detected", async || {
            worker.done(&[held[0].tag]).await.unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(100), next(&mut worker, 1)).await;
            (worker.progress(&check) == CheckProgress::Invalid).then_some(())
        })
        .await;
        assert_eq!((worker.generation(), empty_check(&mut worker).await), (None, None));
        proxy.set(Fault::None);
        let again = take(&mut worker).await;
        assert_eq!((worker.generation(), again[0].redelivered), (Some(2), true));
        assert_eq!(worker.progress(&check), CheckProgress::Invalid);
        finish(&mut worker, &again).await;
        let check = passing_empty_check(&mut worker).await;
        assert_eq!((check.generation, worker.progress(&check)), (2, CheckProgress::Recorded));
    })
    .await;
}
