//! Webhooks: each event of a poll is one message, which one process at a time sends until it is delivered.

use super::polls::closed;
use super::support::{create, done, new_poll};
use crate::audit::{Action, Author};
use crate::clock::Timestamp;
use crate::new_poll::NewPoll;
use crate::poll::Poll;
use crate::store::{Mark, Store, StoreError};
use crate::webhook::{AfterAttempt, Attempt, Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent, WebhookSalt};

/// Later than everything that happens here.
const LATER: Timestamp = Timestamp(5_000_000_000_000);

async fn webhook(store: &dyn Store, url: &str) -> Webhook {
    done(store.create_webhook(NewWebhook { url: url.to_owned(), salt: WebhookSalt([255; 16]) }, &Author::THRONG).await)
}

async fn claim(store: &dyn Store, webhook: &Webhook, now: Timestamp) -> Option<Delivery> {
    done(store.claim_delivery(webhook.number, now, now.plus_ms(1_000)).await)
}

/// What a webhook is told of, claimed in this order.
async fn told(store: &dyn Store, webhook: &Webhook) -> Vec<(i64, WebhookEvent)> {
    let mut told = Vec::new();
    while let Some(delivery) = claim(store, webhook, LATER).await {
        told.push((delivery.poll.0, delivery.event));
    }
    told
}

fn attempt(is_delivered: bool, outcome: &str) -> Attempt {
    Attempt { at: LATER, is_delivered, outcome: outcome.to_owned() }
}

/// A poll that opens after every webhook of a test was made.
async fn opening(store: &dyn Store, slug: &str, rehearsal: bool) -> Poll {
    let new = NewPoll { opens_at: Some(LATER), rehearsal, ..new_poll(slug) };
    done(store.create_poll(new, &Author::THRONG).await)
}

/// Webhooks are listed as they were made, until they are deleted; a number is never given again.
pub async fn webhooks_are_kept_until_deleted(store: &dyn Store) {
    let first = webhook(store, "https://a.example/x?y=z").await;
    let second = webhook(store, "https://a.example/x?y=z").await;
    assert_eq!((first.number, second.number, first.salt), (1, 2, WebhookSalt([255; 16])));
    assert!(first.made_at > Timestamp(1_700_000_000_000), "{first:?}");
    assert_eq!(done(store.webhooks().await), [first, second.clone()]);
    done(store.add_openings(&[opening(store, "poll", false).await.id]).await);
    assert_eq!(done(store.delete_webhook(2, &Author::new("ben", "moved")).await).url, second.url);
    assert_eq!(claim(store, &second, LATER).await, None);
    assert!(matches!(store.delete_webhook(2, &Author::THRONG).await, Err(StoreError::Rejected(_))));
    assert_eq!(webhook(store, "https://b.example/").await.number, 3);
    for _ in 2..WEBHOOKS_MAX {
        webhook(store, "https://c.example/").await;
    }
    let many = NewWebhook { url: String::new(), salt: WebhookSalt([0; 16]) };
    assert!(matches!(store.create_webhook(many, &Author::THRONG).await, Err(StoreError::Rejected(_))));
    let log = done(store.audit_log(None, None, 100).await);
    let noted = log.iter().filter(|entry| entry.action == Action::DeleteWebhook);
    assert_eq!(noted.map(|entry| entry.author.as_str()).collect::<Vec<_>>(), ["ben"]);
}

/// Whether a webhook that is made now is made by `time`; it is deleted again.
async fn webhook_made_by(store: &dyn Store, time: Option<Timestamp>) -> bool {
    let made = webhook(store, "https://c.example/").await;
    done(store.delete_webhook(made.number, &Author::THRONG).await);
    Some(made.made_at) <= time
}

/// An opening is one message however often it is noted, and a mark one that is there with it; a rehearsal has none.
pub async fn each_event_is_one_message(store: &dyn Store) {
    let early = closed(store, &create(store, "early").await).await;
    assert_eq!(done(store.mark(&[(early.id, early.version)], Mark::Closed).await), 1);
    let early = done(store.poll(&early.slug).await).expect("it exists");
    // What happens in a webhook's first millisecond is not known to be before it.
    while webhook_made_by(store, early.closed_at).await {}
    let (first, second) = (webhook(store, "https://a.example/").await, webhook(store, "https://b.example/").await);
    let (poll, rehearsal) = (opening(store, "poll", false).await, opening(store, "rehearsal", true).await);
    for _ in 0..3 {
        done(store.add_openings(&[poll.id, rehearsal.id]).await);
    }
    done(store.add_openings(&[create(store, "old").await.id]).await);
    done(store.add_openings(&[]).await);
    assert_eq!(done(store.mark(&[(early.id, early.version)], Mark::Final).await), 1);
    let other = closed(store, &create(store, "other").await).await;
    assert_eq!(done(store.mark(&[(other.id, other.version)], Mark::Closed).await), 1);
    let other = done(store.poll(&other.slug).await).expect("it exists");
    assert_eq!(done(store.mark(&[(other.id, other.version)], Mark::Final).await), 1);
    // At once: it was never stored that it has closed.
    let last = closed(store, &create(store, "last").await).await;
    assert_eq!(done(store.mark(&[(last.id, last.version)], Mark::Final).await), 1);
    let expected = [
        (poll.id.0, WebhookEvent::Opened),
        (early.id.0, WebhookEvent::Final),
        (other.id.0, WebhookEvent::Closed),
        (other.id.0, WebhookEvent::Final),
        (last.id.0, WebhookEvent::Closed),
        (last.id.0, WebhookEvent::Final),
    ];
    assert_eq!(told(store, &first).await, expected);
    assert_eq!(told(store, &second).await, expected);
}

/// A message that is claimed is nobody else's until the lease ends, and is sent again until it has ended.
pub async fn a_message_is_claimed_by_one_at_a_time(store: &dyn Store) {
    let made = webhook(store, "https://a.example/").await;
    done(store.add_openings(&[opening(store, "poll", false).await.id]).await);
    let shown = async || done(store.webhooks().await).remove(0);
    assert_eq!((shown().await.pending, shown().await.next_at), (1, Some(LATER)));
    assert_eq!(claim(store, &made, LATER.plus_ms(-1)).await, None, "it isn't due");
    let first = claim(store, &made, LATER).await.expect("it is due");
    assert_eq!((first.attempts, first.occurred_at), (1, LATER));
    assert_eq!(claim(store, &made, LATER.plus_ms(999)).await, None, "it is claimed");
    let second = claim(store, &made, LATER.plus_ms(1_000)).await.expect("the lease has ended");
    assert_eq!((second.attempts, second.number, second.message_id()), (2, first.number, first.message_id()));

    // Who has lost the claim changes nothing.
    done(store.end_delivery(&first, &attempt(true, "200"), AfterAttempt::Delivered).await);
    assert_eq!((shown().await.pending, shown().await.last), (1, None));
    let retry = AfterAttempt::Retry(LATER.plus_ms(7_000));
    done(store.end_delivery(&second, &attempt(false, "500 \u{1f3b6}"), retry).await);
    assert_eq!(
        (shown().await.next_at, shown().await.last),
        (Some(LATER.plus_ms(7_000)), Some(attempt(false, "500 \u{1f3b6}")))
    );
    assert_eq!(claim(store, &made, LATER.plus_ms(6_999)).await, None);
    let third = claim(store, &made, LATER.plus_ms(7_000)).await.expect("it is due again");
    done(store.end_delivery(&third, &attempt(true, "204"), AfterAttempt::Delivered).await);
    assert_eq!(
        (shown().await.pending, shown().await.next_at, shown().await.last),
        (0, None, Some(attempt(true, "204")))
    );
    assert_eq!(claim(store, &made, LATER.plus_ms(9_000_000)).await, None);
    // It is still known, so that it isn't added again.
    done(store.forget_deliveries(LATER).await);
    done(store.add_openings(&[third.poll]).await);
    assert_eq!(claim(store, &made, LATER).await, None);
    done(store.forget_deliveries(LATER.plus_ms(1)).await);
    done(store.add_openings(&[third.poll]).await);
    let again = claim(store, &made, LATER).await.expect("it was forgotten");
    done(store.end_delivery(&again, &attempt(false, "410"), AfterAttempt::GiveUp).await);
    assert_eq!(shown().await.pending, 0);
}
