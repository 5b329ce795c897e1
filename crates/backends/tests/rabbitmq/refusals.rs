//! What can't be used as it is: said in words that help, and never taken for confirmed.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use throng_backends::queue::rabbitmq::{RabbitPublisher, Topology};
use throng_domain::queue::{Publisher, QueueError};

use super::ground::{connect, host, key, on_ground, url_at};
use super::{ballots, eventually, within};

/// The words of a rejection.
fn words<T>(rejected: Result<T, QueueError>) -> String {
    match rejected {
        Err(QueueError::Rejected(words)) => words,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not rejected"),
    }
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_made_again_and_takes_no_message_meanwhile() {
    on_ground(async |ground| {
        let publisher = ground.publisher().await;
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", ground.prefix);
        let (mut confirmed, mut refused) = (0, 0);
        for _ in 0..3 {
            channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
            confirmed = 0;
            while confirmed < 5 {
                match publisher.publish(&ballots(confirmed, 1)).await {
                    Ok(()) => confirmed += 1,
                    Err(QueueError::Unavailable(_)) => {
                        refused += 1;
                        eventually("it recovers", async || publisher.is_ready().then_some(())).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert!(refused > 0);
        assert_eq!(ground.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}

/// A returned message is never taken for another's confirm: none is said to be safe that isn't there.
#[tokio::test]
async fn a_queue_that_is_deleted_among_many_messages_confirms_no_other() {
    on_ground(async |ground| {
        let publisher = ground.publisher().await;
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", ground.prefix);
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
        let messages: Vec<_> = (0..8).map(|first| ballots(first, 1)).collect();
        let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| publisher.publish(&messages[number]));
        let outcomes = tokio::join!(a, b, c, d, e, f, g, h);
        let (a, b, c, d, e, f, g, h) = outcomes;
        let confirmed = [a, b, c, d, e, f, g, h].iter().filter(|outcome| outcome.is_ok()).count();
        eventually("the queue is made again", async || ground.ready("ballots").await).await;
        assert_eq!(ground.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_takes_nothing_more() {
    on_ground(async |mut ground| {
        ground.topology = Topology::new(&ground.prefix).with_ballots_messages_max(5);
        let publisher = ground.publisher().await;
        let mut confirmed = 0;
        let error = loop {
            match publisher.publish(&ballots(confirmed, 1)).await {
                Ok(()) => confirmed += 1,
                Err(error) => break error,
            }
            assert!(confirmed < 100, "it is never full");
        };
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        assert!(publisher.is_ready(), "the broker answers all the same");
        assert_eq!(ground.ready("ballots").await, Some(confirmed as u32));
        drop(ground.worker().await);
    })
    .await;
}

#[tokio::test]
async fn a_classic_queue_is_refused() {
    on_ground(async |ground| {
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", ground.prefix);
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();
        let rejections =
            [words(RabbitPublisher::connect(ground.broker(), key()).await), words(ground.try_worker().await)];
        for rejection in rejections {
            for word in [name.as_str(), "quorum", "delete", "QUEUE_PREFIX"] {
                assert!(rejection.contains(word), "{rejection}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_host_are_told_apart() {
    on_ground(async |ground| {
        let mut stranger = ground.clone();
        stranger.url = url_at(&host(), Some("throng:wrong-secret"));
        let rejection = words(stranger.try_worker().await);
        assert!(rejection.contains("QUEUE_URL's user and password"), "{rejection}");
        assert!(!rejection.contains("wrong-secret"), "{rejection}");

        let mut nowhere = ground.clone();
        nowhere.url = ground.url_of_vhost("no-such-vhost");
        let rejection = words(nowhere.try_worker().await);
        assert!(rejection.contains("virtual host `no-such-vhost`"), "{rejection}");

        let mut gone = ground.clone();
        gone.url = url_at("127.0.0.1:1", None);
        let error = gone.try_worker().await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        // The next host is tried then.
        gone.url = url_at(&format!("127.0.0.1:1,{}", host()), None);
        within(5, "it connects", gone.worker()).await;
    })
    .await;
}
