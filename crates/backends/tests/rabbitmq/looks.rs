//! What a worker sees when it looks at the queues, and when it may say that all is recorded.

use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions};
use lapin::types::FieldTable;
use throng_backends::queue::rabbitmq::{RabbitBallotConsumer, Selection};
use throng_domain::ballot::Ballot;
use throng_domain::queue::{BallotConsumer, Delivery, Followed, Look, Publisher};

use super::ground::{Ground, connect, host, on_ground};
use super::proxy::{Mood, Proxy};
use super::{ballots, eventually, next, within};

/// The messages that a worker has at once.
const PREFETCH: usize = 128;

/// A look that found nothing, and holds for all that has been delivered.
async fn looked(worker: &mut RabbitBallotConsumer) -> Option<Look> {
    let mut look = within(10, "a look", worker.look()).await?;
    worker.bound(&mut look).await;
    Some(look)
}

/// The look, as soon as it finds nothing.
async fn finds_nothing(worker: &mut RabbitBallotConsumer) -> Look {
    eventually("nothing is found", async || looked(worker).await).await
}

/// Another consumer of `{prefix}.{queue}`, which acknowledges nothing.
async fn stranger(ground: &Ground, queue: &str) -> (lapin::Connection, lapin::Consumer) {
    let (connection, channel) = connect().await;
    let name = format!("{}.{queue}", ground.prefix);
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
    on_ground(async |ground| {
        let mut worker = ground.worker().await;
        assert_eq!(worker.generation(), Some(1));
        let look = finds_nothing(&mut worker).await;
        assert_eq!((look.generation, look.consumers, worker.follow(&look)), (1, 1, Followed::Recorded));
        let other = ground.worker().await;
        let (connection, _consumer) = stranger(&ground, "ballots").await;
        assert_eq!(looked(&mut worker).await.unwrap().consumers, 3);
        drop(other);
        connection.close(200, "OK".into()).await.unwrap();
        eventually("they are gone", async || looked(&mut worker).await.filter(|look| look.consumers == 1)).await;
    })
    .await;
}

/// Node and worker call the queue the same, and otherwise in another virtual host.
#[tokio::test]
async fn the_queue_has_one_name_for_all() {
    on_ground(async |ground| {
        let (publisher, worker) = (ground.publisher().await, ground.worker().await);
        let name = publisher.queue().to_owned();
        println!("the queue is {name}");
        assert_eq!(worker.queue(), name);
        let (prefix, broker) = name.split_once('@').unwrap();
        assert_eq!(prefix, ground.prefix);
        assert!(broker.strip_suffix("/%2f").is_some_and(|cluster| !cluster.is_empty()), "{name}");
    })
    .await;
}

/// Whether it was handed out or is still to be.
#[tokio::test]
async fn what_was_delivered_before_a_look_has_to_be_recorded() {
    on_ground(async |ground| {
        let (publisher, mut worker) = (ground.publisher().await, ground.worker().await);
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let held = take(&mut worker).await;
        publisher.publish(&ballots(1, 1)).await.unwrap();
        eventually("it is delivered", async || (ground.ready("ballots").await == Some(0)).then_some(())).await;
        let look = finds_nothing(&mut worker).await;
        assert_eq!(worker.follow(&look), Followed::Waits);
        finish(&mut worker, &held).await;
        assert_eq!(worker.follow(&look), Followed::Waits, "another one was delivered too");
        let second = take(&mut worker).await;
        assert_eq!(second[0].ballots, ballots(1, 1));
        // What comes after it makes no difference.
        publisher.publish(&ballots(2, 1)).await.unwrap();
        let third = take(&mut worker).await;
        assert_eq!((third.len(), worker.follow(&look)), (1, Followed::Waits));
        finish(&mut worker, &second).await;
        assert_eq!(worker.follow(&look), Followed::Recorded);
    })
    .await;
}

#[tokio::test]
async fn what_another_holds_is_not_found_and_what_waits_is() {
    on_ground(async |ground| {
        let publisher = ground.publisher().await;
        let (mut holder, mut worker) = (ground.worker().await, ground.worker().await);
        for number in 0..2 * PREFETCH + 1 {
            publisher.publish(&ballots(number, 1)).await.unwrap();
        }
        eventually("both have all that they may", async || (ground.ready("ballots").await == Some(1)).then_some(()))
            .await;
        assert_eq!(looked(&mut worker).await, None);
        // One of them is done with one: the last one is delivered too.
        let some = take(&mut holder).await;
        finish(&mut holder, &some[..1]).await;
        let look = finds_nothing(&mut worker).await;
        assert_eq!((look.consumers, worker.follow(&look)), (2, Followed::Waits));
        let rest = take(&mut worker).await;
        finish(&mut worker, &rest).await;
        assert_eq!(worker.follow(&look), Followed::Recorded);
    })
    .await;
}

/// A message that comes between two questions of a look is taken off by it, and is a delivery like every other.
#[tokio::test]
async fn what_comes_during_a_look_is_delivered_once() {
    const ROUNDS: usize = 100;
    on_ground(async |ground| {
        let (publisher, mut worker) = (ground.publisher().await, ground.worker().await);
        for number in 0..PREFETCH {
            publisher.publish(&ballots(number, 1)).await.unwrap();
        }
        // Nothing more is delivered by itself.
        let mut held = Vec::new();
        while held.len() < PREFETCH {
            held.extend(take(&mut worker).await);
        }
        let (_connection, channel) = connect().await;
        let (mut got_by_look, mut got_by_stranger): (Vec<Ballot>, usize) = (Vec::new(), 0);
        for number in PREFETCH..PREFETCH + ROUNDS {
            let message = ballots(number, 1);
            // A little later each time, so that it comes between other questions.
            let looking = async {
                tokio::time::sleep(Duration::from_millis(number as u64 % 10)).await;
                worker.look().await
            };
            let (published, _) = tokio::join!(publisher.publish(&message), looking);
            published.unwrap();
            let name = format!("{}.ballots", ground.prefix);
            match channel.basic_get(name.into(), BasicGetOptions::default()).await.unwrap() {
                Some(message) => {
                    message.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
                    got_by_stranger += 1;
                }
                None => {
                    let taken = take(&mut worker).await;
                    finish(&mut worker, &taken).await;
                    got_by_look.extend(taken.into_iter().flat_map(|delivery| delivery.ballots));
                }
            }
        }
        println!("{} were taken off by a look, {got_by_stranger} not", got_by_look.len());
        assert_eq!(got_by_look.len() + got_by_stranger, ROUNDS);
        let look = finds_nothing(&mut worker).await;
        assert_eq!(worker.follow(&look), Followed::Waits);
        finish(&mut worker, &held).await;
        assert_eq!(worker.follow(&look), Followed::Recorded);
        drop(worker);
        eventually("nothing comes back", async || (ground.ready("ballots").await == Some(0)).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_voids_a_look_and_is_found_by_the_next() {
    on_ground(async |ground| {
        let mut worker = ground.worker().await;
        ground.plant("ballots", b"junk").await;
        eventually("it is delivered", async || (ground.ready("ballots").await == Some(0)).then_some(())).await;
        let look = finds_nothing(&mut worker).await;
        assert_eq!(worker.follow(&look), Followed::Void);
        assert_eq!(looked(&mut worker).await, None, "it is in hand");
        assert_eq!(within(10, "it is read", worker.next(1)).await.unwrap(), []);
        within(10, "it is set aside", worker.prepare()).await;
        assert_eq!(ground.ready("dead").await, Some(1));
        assert_eq!(looked(&mut worker).await, None, "it is a dead letter");
        ground.dead_letters().await.drop(Selection::All).await.unwrap();
        let look = finds_nothing(&mut worker).await;
        assert_eq!(worker.follow(&look), Followed::Recorded);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_found_while_somebody_goes_through_them() {
    on_ground(async |ground| {
        let mut worker = ground.worker().await;
        let proxy = Proxy::start(host()).await;
        let letters = ground.by_way_of(&proxy.host()).dead_letters().await;
        ground.plant("dead", b"0").await;
        let listing = async {
            loop {
                assert!(letters.list(100).await.unwrap().len() <= 1);
            }
        };
        let looking = async {
            let mut caught = 0;
            for moment in 0.. {
                tokio::time::sleep(Duration::from_millis(moment % 20)).await;
                // Whoever has it in hand has it until this passes.
                proxy.be(Mood::Frozen);
                tokio::time::sleep(Duration::from_millis(30)).await;
                if ground.ready("dead").await == Some(0) {
                    assert_eq!(worker.look().await, None, "it is in somebody's hands");
                    caught += 1;
                }
                proxy.be(Mood::Passes);
                if caught == 5 {
                    break;
                }
            }
        };
        tokio::select! {
            () = listing => {}
            () = within(60, "it is caught in hand", looking) => {}
        }
        // What was broken off ends with its connection.
        drop(letters);
        let letters = ground.dead_letters().await;
        eventually("it is back", async || (ground.ready("dead").await == Some(1)).then_some(())).await;
        // One who takes them by a consumer that is slow.
        let mut worker = ground.worker().await;
        let (connection, _consumer) = stranger(&ground, "dead").await;
        eventually("they are taken", async || (ground.ready("dead").await == Some(0)).then_some(())).await;
        assert_eq!(looked(&mut worker).await, None);
        connection.close(200, "OK".into()).await.unwrap();
        eventually("they are back", async || (ground.ready("dead").await == Some(1)).then_some(())).await;
        assert_eq!(looked(&mut worker).await, None);
        assert_eq!(letters.drop(Selection::All).await.unwrap(), 1);
        finds_nothing(&mut worker).await;
    })
    .await;
}

#[tokio::test]
async fn a_look_ends_with_its_connection() {
    on_ground(async |ground| {
        let proxy = Proxy::start(host()).await;
        let mut worker = ground.by_way_of(&proxy.host()).worker().await;
        let publisher = ground.publisher().await;
        publisher.publish(&ballots(0, 1)).await.unwrap();
        let held = take(&mut worker).await;
        let look = finds_nothing(&mut worker).await;
        proxy.be(Mood::Away);
        // It is gone, which shows when it is used.
        eventually("it is noticed", async || {
            worker.done(&[held[0].tag]).await.unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(100), next(&mut worker, 1)).await;
            (worker.follow(&look) == Followed::Void).then_some(())
        })
        .await;
        assert_eq!((worker.generation(), looked(&mut worker).await), (None, None));
        proxy.be(Mood::Passes);
        let again = take(&mut worker).await;
        assert_eq!((worker.generation(), again[0].redelivered), (Some(2), true));
        assert_eq!(worker.follow(&look), Followed::Void);
        finish(&mut worker, &again).await;
        let look = finds_nothing(&mut worker).await;
        assert_eq!((look.generation, worker.follow(&look)), (2, Followed::Recorded));
    })
    .await;
}
