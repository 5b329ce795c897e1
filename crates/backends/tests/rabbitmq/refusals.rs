//! Queues and brokers that can't be used: errors contain advice, and no message is reported as confirmed that isn't.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use throng_backends::queue::rabbitmq::{RabbitPublisher, Topology};
use throng_domain::queue::{Publisher, QueueError};
use throng_testkit::eventually_async;

use super::fixture::{connect, host, key, url_at, with_fixture};
use super::{ballots, within};

/// The text of a rejection.
fn rejection<T>(rejected: Result<T, QueueError>) -> String {
    match rejected {
        Err(QueueError::Rejected(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not rejected"),
    }
}

#[tokio::test]
async fn deleted_queue_confirms_nothing_until_declared_again() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", fixture.prefix);
        let (mut confirmed, mut refused) = (0, 0);
        for _ in 0..3 {
            channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
            confirmed = 0;
            while confirmed < 5 {
                match publisher.publish(&ballots(confirmed, 1)).await {
                    Ok(()) => confirmed += 1,
                    Err(QueueError::Unavailable(_)) => {
                        refused += 1;
                        eventually_async("it recovers", async || publisher.is_ready().then_some(())).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert!(refused > 0);
        assert_eq!(fixture.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}

/// A returned message is never mistaken for another's confirm: no message is reported as durable that isn't stored.
#[tokio::test]
async fn deleted_queue_confirms_only_stored_messages() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", fixture.prefix);
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
        let messages: Vec<_> = (0..8).map(|first| ballots(first, 1)).collect();
        let [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| publisher.publish(&messages[number]));
        let outcomes = tokio::join!(a, b, c, d, e, f, g, h);
        let (a, b, c, d, e, f, g, h) = outcomes;
        let confirmed = [a, b, c, d, e, f, g, h].iter().filter(|outcome| outcome.is_ok()).count();
        eventually_async("the queue is declared again", async || fixture.ready("ballots").await).await;
        assert_eq!(fixture.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}

#[tokio::test]
async fn full_queue_accepts_no_more_messages() {
    with_fixture(async |mut fixture| {
        fixture.topology = Topology::new(&fixture.prefix).with_ballots_messages_max(5);
        let publisher = fixture.publisher().await;
        let mut confirmed = 0;
        let error = loop {
            match publisher.publish(&ballots(confirmed, 1)).await {
                Ok(()) => confirmed += 1,
                Err(error) => break error,
            }
            assert!(confirmed < 100, "it is never full");
        };
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        assert!(publisher.is_ready(), "the broker still responds");
        assert_eq!(fixture.ready("ballots").await, Some(confirmed as u32));
        drop(fixture.worker().await);
    })
    .await;
}

#[tokio::test]
async fn classic_queue_is_rejected() {
    with_fixture(async |fixture| {
        let (_connection, channel) = connect().await;
        let name = format!("{}.ballots", fixture.prefix);
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();
        let rejections =
            [rejection(RabbitPublisher::connect(fixture.broker(), key()).await), rejection(fixture.try_worker().await)];
        for rejection in rejections {
            for word in [name.as_str(), "quorum", "delete", "QUEUE_PREFIX"] {
                assert!(rejection.contains(word), "{rejection}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_password_and_missing_vhost_are_distinguished() {
    with_fixture(async |fixture| {
        let mut wrong_password = fixture.clone();
        wrong_password.url = url_at(&host(), Some("throng:wrong-secret"));
        let text = rejection(wrong_password.try_worker().await);
        assert!(text.contains("QUEUE_URL's user and password"), "{text}");
        assert!(!text.contains("wrong-secret"), "{text}");

        let mut missing_vhost = fixture.clone();
        missing_vhost.url = fixture.url_of_vhost("no-such-vhost");
        let text = rejection(missing_vhost.try_worker().await);
        assert!(text.contains("virtual host `no-such-vhost`"), "{text}");

        let mut unreachable = fixture.clone();
        unreachable.url = url_at("127.0.0.1:1", None);
        let error = unreachable.try_worker().await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
        // The next host is tried.
        unreachable.url = url_at(&format!("127.0.0.1:1,{}", host()), None);
        within(5, "it connects", unreachable.worker()).await;
    })
    .await;
}
