//! Unreadable messages: each is set aside individually, where it can be shown, replayed and dropped.

use throng_backends::queue::message::encode_ballots;
use throng_backends::queue::{Depth, MessageKey, Selection};
use throng_domain::queue::{BallotConsumer, Publisher};
use throng_testkit::eventually_async;

use super::fixture::{Fixture, key, with_fixture};
use super::{NOW, ballots, next, within};

/// Junk, a message under another secret, and one of a later version.
fn unreadable() -> [Vec<u8>; 3] {
    let forged = encode_ballots(&MessageKey::new(&[8; 32]), &ballots(50, 2)).unwrap();
    let mut newer = encode_ballots(&key(), &ballots(60, 2)).unwrap();
    newer[0] = 9;
    [b"junk".to_vec(), forged, newer]
}

/// Delivers all readable messages to a worker, which acknowledges them; returns the number of each message's first ballot.
async fn work(fixture: &Fixture, messages: usize) -> Vec<usize> {
    let mut worker = fixture.worker().await;
    let (mut first_ids, dead) = (Vec::new(), async || fixture.ready("dead").await);
    within(20, "all is delivered or set aside", async {
        while first_ids.len() < messages || dead().await != Some(3) {
            let next = tokio::time::timeout(std::time::Duration::from_millis(500), next(&mut worker, 1_000)).await;
            let Ok(deliveries) = next else { continue };
            for delivery in deliveries {
                first_ids.push(delivery.ballots[0].id.0.as_u128() as usize);
                worker.done(&[delivery.tag]).await.unwrap();
            }
        }
    })
    .await;
    first_ids
}

#[tokio::test]
async fn unreadable_messages_are_set_aside_individually() {
    with_fixture(async |fixture| {
        let publisher = fixture.publisher().await;
        let bad = unreadable();
        for (number, bad) in bad.iter().enumerate() {
            publisher.publish(&ballots(number, 1)).await.unwrap();
            fixture.publish_raw("ballots", bad).await;
        }
        publisher.publish(&ballots(3, 1)).await.unwrap();
        assert_eq!(work(&fixture, 4).await, [0, 1, 2, 3]);
        eventually_async("nothing is left", async || (fixture.ready("ballots").await == Some(0)).then_some(())).await;

        let counted = Depth::new(fixture.broker()).messages().await.unwrap();
        assert_eq!((counted.ballots, counted.dead), (0, 3));
        let letters = fixture.dead_letters().await;
        for _ in 0..30 {
            // Listing changes nothing, however often.
            assert_eq!(letters.list(2).await.unwrap().len(), 2);
        }
        let listed = letters.list(100).await.unwrap();
        let mut sizes: Vec<_> = listed.iter().map(|letter| letter.bytes).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [bad[0].len(), bad[1].len(), bad[2].len()]);
        for (bytes, why) in bad.iter().zip(["it has 4 bytes", "another APP_SECRET", "version 9"]) {
            let mut those = listed.iter().filter(|letter| letter.why.contains(why));
            let letter = those.next().unwrap_or_else(|| panic!("{why}: {listed:?}"));
            assert_eq!(letter.set_aside_at, Some(NOW));
            let opened = letters.show(&letter.id).await.unwrap().unwrap();
            assert_eq!((&opened.letter, &opened.body, opened.ballots.is_err()), (letter, bytes, true));
        }
        assert_eq!(letters.show("0123456789abcdef").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_replayed_and_dropped_by_id_or_all() {
    with_fixture(async |fixture| {
        let letters = fixture.dead_letters().await;
        // As after an upgrade of Throng: this message is readable now.
        let good = encode_ballots(&key(), &ballots(70, 3)).unwrap();
        fixture.publish_raw("dead", &good).await;
        for bad in unreadable() {
            fixture.publish_raw("dead", &bad).await;
        }
        let listed = letters.list(100).await.unwrap();
        assert_eq!((listed.len(), listed[0].set_aside_at, listed[0].why.as_str()), (4, None, "nobody noted why"));
        assert_eq!(letters.show(&listed[0].id).await.unwrap().unwrap().ballots, Ok(ballots(70, 3)));

        assert_eq!(letters.replay(Selection::Ids(&[listed[0].id.clone()])).await.unwrap(), 1);
        assert_eq!((fixture.ready("ballots").await, fixture.ready("dead").await), (Some(1), Some(3)));
        assert_eq!(work(&fixture, 1).await, [70]);

        assert_eq!(letters.replay(Selection::All).await.unwrap(), 3);
        assert_eq!((fixture.ready("ballots").await, fixture.ready("dead").await), (Some(3), Some(0)));
        work(&fixture, 0).await;

        let some = [listed[1].id.clone(), listed[3].id.clone(), "0123456789abcdef".to_owned()];
        assert_eq!(letters.drop(Selection::Ids(&some)).await.unwrap(), 2);
        assert_eq!(letters.list(100).await.unwrap().remove(0).id, listed[2].id);
        assert_eq!(letters.drop(Selection::All).await.unwrap(), 1);
        assert_eq!(letters.list(100).await.unwrap(), []);
    })
    .await;
}
