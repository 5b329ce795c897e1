//! Webhooks: tells other systems that a poll has opened, has closed, or is final.
//!
//! What is to be told is in the database, as [`WebhookStore`](throng_domain::store::WebhookStore) says: so it is told at least once,
//! whatever is killed, and of several servers one at a time tells it. Signatures are those of Standard Webhooks, so receivers need no
//! code of ours. Nothing here is in a vote's way.

mod address;
mod client;
mod message;
mod secret;
mod sender;
mod url;

use throng_domain::audit::Author;
use throng_domain::store::{Store, StoreError};
use throng_domain::webhook::{NewWebhook, Webhook, WebhookSalt};

pub use self::client::{SEND_MAX, SendError, WebhookClient};
pub use self::secret::WebhookSecret;
pub use self::sender::{WebhookSender, send_test};
pub use self::url::{InvalidUrl, WebhookUrl};
use crate::config::DerivedKey;

/// Makes a webhook; `salt` has to be random. Returns it with its secret, which isn't stored: it is derived from `key` and the salt.
///
/// # Errors
/// Those of the store.
pub async fn create_webhook(
    store: &dyn Store,
    url: &WebhookUrl,
    salt: [u8; 16],
    key: &DerivedKey,
    by: &Author,
) -> Result<(Webhook, WebhookSecret), StoreError> {
    let salt = WebhookSalt(salt);
    let webhook = store.create_webhook(NewWebhook { url: url.as_str().to_owned(), salt }, by).await?;
    let secret = WebhookSecret::of(key, &webhook);
    Ok((webhook, secret))
}

/// The webhook with this number.
///
/// # Errors
/// [`StoreError::Rejected`] if there is none, or those of the store.
pub async fn find_webhook(store: &dyn Store, number: u32) -> Result<Webhook, StoreError> {
    let webhooks = store.webhooks().await?;
    webhooks.into_iter().find(|webhook| webhook.number == number).ok_or_else(|| StoreError::no_such_webhook(number))
}
