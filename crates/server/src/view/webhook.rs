//! Webhooks.

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::webhook::{Attempt, Webhook};

use super::time::{Rfc3339, rfc3339_text};

/// A webhook in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Webhook")]
pub struct WebhookView<'a> {
    number: u32,
    url: &'a str,
    #[schemars(with = "Rfc3339")]
    made_at: String,
    /// The last attempt; `null` before the first.
    last: Option<AttemptView<'a>>,
    /// Messages that wait to be sent, or sent again.
    pending: u64,
    /// When the next of them is due.
    #[schemars(with = "Option<Rfc3339>")]
    next_at: Option<String>,
    /// Its secret, when it has just been made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WebhookAttempt")]
struct AttemptView<'a> {
    #[schemars(with = "Rfc3339")]
    at: String,
    delivered: bool,
    outcome: &'a str,
}

/// How a test ended, in JSON.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WebhookTest")]
pub struct WebhookTestView {
    delivered: bool,
    outcome: String,
}

impl<'a> WebhookView<'a> {
    /// A webhook that has just been made, with its secret.
    pub fn with_secret(webhook: &'a Webhook, secret: String) -> Self {
        Self { secret: Some(secret), ..Self::from(webhook) }
    }
}

impl<'a> From<&'a Webhook> for WebhookView<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        let last = webhook.last.as_ref().map(|Attempt { at, is_delivered, outcome }| AttemptView {
            at: rfc3339_text(*at),
            delivered: *is_delivered,
            outcome,
        });
        Self {
            number: webhook.number,
            url: &webhook.url,
            made_at: rfc3339_text(webhook.made_at),
            last,
            pending: webhook.pending,
            next_at: webhook.next_at.map(rfc3339_text),
            secret: None,
        }
    }
}

impl From<Result<String, String>> for WebhookTestView {
    fn from(sent: Result<String, String>) -> Self {
        let delivered = sent.is_ok();
        let (Ok(outcome) | Err(outcome)) = sent;
        Self { delivered, outcome }
    }
}
