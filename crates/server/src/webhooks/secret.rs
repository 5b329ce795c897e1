//! A webhook's secret, and what it signs, after Standard Webhooks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use throng_domain::clock::Timestamp;
use throng_domain::webhook::Webhook;

use crate::config::DerivedKey;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";

/// The secret of one webhook; it is never displayed but by [`Self::text`].
#[derive(Clone)]
pub struct WebhookSecret(DerivedKey);

impl WebhookSecret {
    /// The secret of this webhook, derived from the installation's key for all of them.
    pub fn of(key: &DerivedKey, webhook: &Webhook) -> Self {
        let salt = STANDARD.encode(webhook.salt.0);
        Self(DerivedKey::new(key.mac_of_parts(["webhook ", &webhook.number.to_string(), " ", &salt])))
    }

    /// Its text, as receivers configure it.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.bytes()))
    }

    /// The value of the header `webhook-signature` for a message with this id, sent at this time.
    pub fn signature(&self, id: &str, sent_at: Timestamp, body: &str) -> String {
        let sent_s = sent_at.0.div_euclid(1_000).to_string();
        format!("v1,{}", STANDARD.encode(self.0.mac_of_parts([id, ".", &sent_s, ".", body])))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification's test suite.
    #[test]
    fn signature_is_that_of_standard_webhooks() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        // A key of another length than ours: HMAC fills it up with zeros.
        let mut padded = [0; 32];
        padded[..key.len()].copy_from_slice(&key);
        let secret = WebhookSecret(DerivedKey::new(padded));
        let signature =
            secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp(1_614_265_330_000), r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
