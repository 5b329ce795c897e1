//! Webhooks: who is told that a poll has opened, has closed, or is final, and what became of that.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::PollId;
use crate::poll::Mark;
use crate::words::words;

/// The most webhooks of an installation.
pub const WEBHOOKS_MAX: usize = 20;

/// The longest URL of a webhook, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 500;

/// For how long after its opening a poll's webhooks are told of it, if no server ran then, in milliseconds: a day.
pub const OPENING_TOLD_FOR_MS: i64 = 24 * 3_600_000;

/// For how long deliveries that have ended are kept, in milliseconds: 30 days. Longer than [`OPENING_TOLD_FOR_MS`], so that no opening
/// is told of twice.
pub const DELIVERY_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// The longest text of how an attempt ended, in characters.
pub const OUTCOME_CHARS_MAX: usize = 200;

words! {
    /// What webhooks are told of.
    WebhookEvent {
        /// A poll has opened.
        Opened = "opened",
        /// A poll has closed.
        Closed = "closed",
        /// A poll's result is final.
        Final = "final",
    }
}

impl From<Mark> for WebhookEvent {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Closed => Self::Closed,
            Mark::Final => Self::Final,
        }
    }
}

/// What a webhook's secret is derived from, together with a key that isn't stored with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WebhookSalt(pub [u8; 16]);

/// Without the salt, which belongs in no log.
impl fmt::Debug for WebhookSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSalt(…)")
    }
}

/// A webhook to be stored.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Where to send to.
    pub url: String,
    /// What its secret is derived from.
    pub salt: WebhookSalt,
}

/// A webhook as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its number, from 1; never that of another one.
    pub number: u32,
    /// Where to send to.
    pub url: String,
    /// What its secret is derived from.
    pub salt: WebhookSalt,
    /// When it was made, by the database's clock: it is told of what happens from then on.
    pub made_at: Timestamp,
    /// When the last attempt ended, and how; `None` before the first.
    pub last: Option<Attempt>,
    /// How many messages wait to be sent, or sent again.
    pub pending: u64,
    /// When the next of them is due.
    pub next_at: Option<Timestamp>,
}

impl Webhook {
    /// What the audit log says of it.
    pub fn audited(&self) -> serde_json::Value {
        serde_json::json!({ "webhook": { "number": self.number, "origin": self.origin() } })
    }

    /// The beginning of its URL, with the host: what follows may be a secret.
    pub fn origin(&self) -> &str {
        let end = self.url.match_indices('/').nth(2).map_or(self.url.len(), |(place, _)| place);
        self.url.get(..end).unwrap_or_default()
    }
}

/// How an attempt to send a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// Whether the receiver has it.
    pub is_delivered: bool,
    /// How, as text for operators: the response's status, or why there is none.
    pub outcome: String,
}

/// A message that one process has claimed, to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub number: i64,
    /// The webhook's number.
    pub webhook: u32,
    /// The poll.
    pub poll: PollId,
    /// What happened to the poll.
    pub event: WebhookEvent,
    /// When.
    pub occurred_at: Timestamp,
    /// How many attempts were begun, with this one.
    pub attempts: u32,
}

impl Delivery {
    /// By what a receiver recognizes a message that it got before: the same in each attempt.
    pub fn message_id(&self) -> String {
        let Self { webhook, poll, event, occurred_at, .. } = self;
        format!("msg_{webhook}_{}_{}_{}", poll.0, event.as_str(), occurred_at.0)
    }
}

/// What becomes of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAttempt {
    /// The receiver has it.
    Delivered,
    /// It is sent again then.
    Retry(Timestamp),
    /// It isn't sent again.
    GiveUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_has_no_secret_of_a_url() {
        let webhook = Webhook {
            number: 7,
            url: "https://a.example:8443/hooks/s3cret?t=1".to_owned(),
            salt: WebhookSalt([9; 16]),
            made_at: Timestamp(0),
            last: None,
            pending: 0,
            next_at: None,
        };
        assert_eq!(webhook.origin(), "https://a.example:8443");
        assert!(!webhook.audited().to_string().contains("s3cret"));
        assert!(!format!("{:?}", webhook.salt).contains('9'));
        assert_eq!(Webhook { url: "https://a.example".to_owned(), ..webhook }.origin(), "https://a.example");
    }
}
