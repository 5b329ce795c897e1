//! Sends the messages that are due, and again those that weren't accepted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::poll::PollId;
use throng_domain::store::{Store, StoreError};
use throng_domain::webhook::{
    AfterAttempt, Attempt, DELIVERY_KEPT_MS, Delivery, OPENING_TOLD_FOR_MS, OUTCOME_CHARS_MAX, Webhook, WebhookEvent,
};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::client::{SEND_MAX, SendError, WebhookClient};
use super::message;
use super::secret::WebhookSecret;
use super::url::WebhookUrl;
use crate::config::DerivedKey;
use crate::results::LivePolls;
use crate::telemetry::metrics::{WebhookMetrics, WebhookOutcome};

/// How long a message is claimed by the process that sends it, in milliseconds: longer than an attempt takes.
const LEASE_MS: i64 = 60_000;

/// The pause after a message's first attempt, in milliseconds; it doubles with each of the next ones.
const RETRY_FIRST_MS: i64 = 10_000;

/// The longest pause, in milliseconds: four hours.
const RETRY_MAX_MS: i64 = 4 * 3_600_000;

/// After so many attempts, over some 22 hours, a message is given up.
const ATTEMPTS_MAX: u32 = 16;

/// The most messages that are sent to a webhook before the others are looked at again.
const AT_ONCE_MAX: usize = 100;

/// The most openings that are noted in one transaction.
const OPENINGS_MAX: usize = 1_000;

/// How often messages that ended long ago are deleted, in milliseconds.
const FORGET_EVERY_MS: i64 = 3_600_000;

/// Sends the messages of all webhooks.
#[derive(Debug)]
pub struct WebhookSender {
    store: Arc<dyn Store>,
    polls: Arc<LivePolls>,
    clock: Arc<dyn Clock>,
    /// Secrets are derived from it.
    key: DerivedKey,
    client: WebhookClient,
    metrics: WebhookMetrics,
    /// The permit to read a result for a message.
    results: Semaphore,
    noted: Mutex<Noted>,
}

/// What this process has done already.
#[derive(Debug)]
struct Noted {
    /// Openings whose messages were stored, each with its time.
    openings: BTreeSet<(Timestamp, PollId)>,
    /// When old messages were last deleted.
    forgot_at: Timestamp,
}

impl WebhookSender {
    /// For the webhooks in `store`, about its `polls`; secrets are derived from `key`.
    pub fn new(
        store: Arc<dyn Store>,
        polls: Arc<LivePolls>,
        clock: Arc<dyn Clock>,
        key: DerivedKey,
        client: WebhookClient,
        metrics: WebhookMetrics,
    ) -> Self {
        const { assert!(LEASE_MS > 2 * SEND_MAX.as_millis() as i64, "a lease is longer than an attempt") };
        let noted = Mutex::new(Noted { openings: BTreeSet::new(), forgot_at: Timestamp(i64::MIN) });
        Self { store, polls, clock, key, client, metrics, results: Semaphore::new(1), noted }
    }

    /// The key that secrets are derived from.
    pub fn key(&self) -> &DerivedKey {
        &self.key
    }

    /// The client that sends.
    pub fn client(&self) -> &WebhookClient {
        &self.client
    }

    /// Sends every message that is due. Where there are no webhooks, it costs one query.
    ///
    /// # Errors
    /// Those of the store. That a receiver doesn't accept a message isn't an error.
    pub async fn send_due(&self) -> Result<(), StoreError> {
        let webhooks = self.store.webhooks().await?;
        self.metrics.pending.set(webhooks.iter().map(|webhook| webhook.pending.cast_signed()).sum());
        if webhooks.is_empty() {
            return Ok(());
        }
        self.note_openings().await?;
        self.forget().await?;
        let sent = join_all(webhooks.iter().map(|webhook| self.send_to(webhook))).await;
        sent.into_iter().collect()
    }

    /// Stores the messages about polls that have opened. Whether a server ran then or not, and whichever knows of it: a message that is
    /// stored already stays as it is.
    async fn note_openings(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let opened: BTreeSet<_> = self.polls.opening(now.plus_ms(-OPENING_TOLD_FOR_MS)..=now).into_iter().collect();
        let new: Vec<_> = opened.difference(&self.noted().openings).map(|(_, poll)| *poll).collect();
        for polls in new.chunks(OPENINGS_MAX) {
            self.store.add_openings(polls).await?;
        }
        self.noted().openings = opened;
        Ok(())
    }

    async fn forget(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now < self.noted().forgot_at.plus_ms(FORGET_EVERY_MS) {
            return Ok(());
        }
        self.store.forget_deliveries(now.plus_ms(-DELIVERY_KEPT_MS)).await?;
        self.noted().forgot_at = now;
        Ok(())
    }

    /// Sends a webhook's messages, one after the other, until one isn't accepted.
    async fn send_to(&self, webhook: &Webhook) -> Result<(), StoreError> {
        for _ in 0..AT_ONCE_MAX {
            let now = self.clock.now();
            let claimed = self.store.claim_delivery(webhook.number, now, now.plus_ms(LEASE_MS)).await?;
            let Some(delivery) = claimed else { break };
            // Counted when it was claimed: also one whose attempts never ended, since the process did or the poll can't be read, has an end.
            let sent = if delivery.attempts > ATTEMPTS_MAX {
                Err("its attempts didn't end".to_owned())
            } else {
                self.send(webhook, &delivery).await?
            };
            let is_delivered = sent.is_ok();
            self.end(webhook, &delivery, sent).await?;
            if !is_delivered {
                break;
            }
        }
        Ok(())
    }

    /// The outer error is of the store; the message is sent again once its lease has ended.
    async fn send(&self, webhook: &Webhook, delivery: &Delivery) -> Result<Result<String, String>, StoreError> {
        let Some(poll) = self.store.polls_by_id(&[delivery.poll]).await?.pop() else {
            return Ok(Err("the poll was deleted".to_owned()));
        };
        // One result at a time: a ranked one may be large, and every webhook is told of it at the same moment.
        let _permit = self.results.acquire().await;
        let result = match delivery.event {
            WebhookEvent::Opened | WebhookEvent::Closed => None,
            WebhookEvent::Final => Some(self.store.detailed_tallies(poll.id).await?),
        };
        let (now, event, occurred_at) = (self.clock.now(), delivery.event, delivery.occurred_at);
        let write = move || message::about_poll(event, occurred_at, &poll, result, now);
        let body = match tokio::task::spawn_blocking(write).await {
            Ok(body) => body,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(post(&self.client, &self.key, webhook, &delivery.message_id(), now, body).await)
    }

    /// Sends a message of no consequence: see [`send_test`].
    ///
    /// # Errors
    /// Why it wasn't accepted.
    pub async fn send_test(&self, webhook: &Webhook) -> Result<String, String> {
        send_test(&self.client, &self.key, webhook, self.clock.now()).await
    }

    async fn end(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        sent: Result<String, String>,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let (number, receiver, attempts) = (webhook.number, webhook.origin(), delivery.attempts);
        let (event, id) = (delivery.event.as_str(), delivery.message_id());
        let (after, counted, outcome) = match sent {
            Ok(outcome) => {
                info!(webhook = number, event, id, attempts, "a webhook's message is delivered");
                (AfterAttempt::Delivered, WebhookOutcome::Delivered, outcome)
            }
            Err(outcome) if attempts >= ATTEMPTS_MAX => {
                warn!(webhook = number, receiver, event, id, attempts, outcome, "a webhook's message is given up");
                (AfterAttempt::GiveUp, WebhookOutcome::GivenUp, outcome)
            }
            Err(outcome) => {
                let pause_ms = pause_ms(attempts, rand::random());
                let again_s = pause_ms / 1_000;
                warn!(
                    webhook = number,
                    receiver, event, id, attempts, outcome, again_s, "a webhook's message isn't accepted"
                );
                (AfterAttempt::Retry(at.plus_ms(pause_ms)), WebhookOutcome::Failed, outcome)
            }
        };
        self.metrics.count(counted);
        let is_delivered = after == AfterAttempt::Delivered;
        self.store.end_delivery(delivery, &Attempt { at, is_delivered, outcome }, after).await
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a message of no consequence, and returns how that ended.
///
/// # Errors
/// Why it wasn't accepted.
pub async fn send_test(
    client: &WebhookClient,
    key: &DerivedKey,
    webhook: &Webhook,
    now: Timestamp,
) -> Result<String, String> {
    let id = format!("msg_{}_test_{}", webhook.number, now.0);
    post(client, key, webhook, &id, now, message::test(now)).await
}

async fn post(
    client: &WebhookClient,
    key: &DerivedKey,
    webhook: &Webhook,
    id: &str,
    now: Timestamp,
    body: String,
) -> Result<String, String> {
    let url = WebhookUrl::parse(&webhook.url, client.allowed()).map_err(|error| error.to_string())?;
    let sent = client.send(&url, &WebhookSecret::of(key, webhook), id, now, body).await;
    sent.map(|status| status.to_string()).map_err(|error| outcome_text(&error))
}

/// The error with its causes, cut.
fn outcome_text(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text.push_str(&format!(": {why}"));
        }
        cause = error.source();
    }
    text.chars().take(OUTCOME_CHARS_MAX).collect()
}

/// The pause after so many attempts: doubled with each, and somewhere within a quarter of that, so that those who failed together don't
/// come back together.
fn pause_ms(attempts: u32, random: u32) -> i64 {
    let doubled = RETRY_FIRST_MS.saturating_mul(1_i64 << attempts.saturating_sub(1).min(30)).min(RETRY_MAX_MS);
    let spread = doubled / 2;
    doubled - doubled / 4 + i64::from(random) * spread / i64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_last_a_day_in_all() {
        let bounds = |attempts| (pause_ms(attempts, 0), pause_ms(attempts, u32::MAX));
        assert_eq!((bounds(1), bounds(2)), ((7_500, 12_500), (15_000, 25_000)));
        assert_eq!((bounds(12), bounds(u32::MAX)), ((10_800_000, 18_000_000), (10_800_000, 18_000_000)));
        let all: i64 = (1..ATTEMPTS_MAX).map(|attempts| pause_ms(attempts, u32::MAX / 2)).sum();
        assert!((20..24).contains(&(all / 3_600_000)), "{all}");
    }
}
