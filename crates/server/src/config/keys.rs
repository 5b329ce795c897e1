//! The keys that are derived from the secret, one for each purpose.

use throng_backends::queue::MessageKey;
use throng_backends::store::DatabaseUrl;

use super::Config;
use super::secret::{AppSecret, DerivedKey};

impl Config {
    /// The key that authenticates messages to workers.
    ///
    /// # Errors
    /// If the secret has to be generated, in dev, and can't be stored.
    pub fn message_key(&self) -> anyhow::Result<MessageKey> {
        let secret = match &self.app_secret {
            Some(secret) => secret.clone(),
            None => AppSecret::kept_for_dev()?,
        };
        Ok(MessageKey::new(secret.derive("queue messages").bytes()))
    }

    /// The key that signs the page's receipts for browsers.
    ///
    /// # Errors
    /// If the secret has to be generated, in dev, and can't be stored.
    pub fn receipt_key(&self) -> anyhow::Result<DerivedKey> {
        self.key_of_nodes("page receipts")
    }

    /// The key that signs the challenges for proofs of work.
    ///
    /// # Errors
    /// As for [`Self::receipt_key`].
    pub fn challenge_key(&self) -> anyhow::Result<DerivedKey> {
        self.key_of_nodes("proof of work")
    }

    /// A key that all nodes have. A server that doesn't share its database needs no secret: it uses a new key with each start.
    fn key_of_nodes(&self, purpose: &str) -> anyhow::Result<DerivedKey> {
        Ok(match &self.app_secret {
            Some(secret) => secret.derive(purpose),
            None if self.has_other_nodes() => AppSecret::kept_for_dev()?.derive(purpose),
            None => DerivedKey::new(rand::random()),
        })
    }

    /// The key that makes voters' pseudonyms and signs their devices' tokens. With another one, everybody is a new voter.
    ///
    /// # Errors
    /// If the secret has to be generated and can't be stored.
    pub fn policy_key(&self) -> anyhow::Result<DerivedKey> {
        Ok(self.kept_secret()?.derive("voters"))
    }

    /// The key that signs the receipts of ballots. With another one, receipts given before are invalid.
    ///
    /// # Errors
    /// As for [`Self::policy_key`].
    pub fn ballot_receipt_key(&self) -> anyhow::Result<DerivedKey> {
        Ok(self.kept_secret()?.derive("ballot receipts"))
    }

    /// The key that signs the closing records of polls.
    ///
    /// # Errors
    /// As for [`Self::policy_key`].
    pub fn record_key(&self) -> anyhow::Result<DerivedKey> {
        Ok(self.kept_secret()?.derive("closing records"))
    }

    /// The key that signs the passes for rehearsals, which commands make and servers verify.
    ///
    /// # Errors
    /// As for [`Self::policy_key`].
    pub fn rehearsal_key(&self) -> anyhow::Result<DerivedKey> {
        Ok(self.kept_secret()?.derive("rehearsal passes"))
    }

    /// The key from which the secrets of webhooks are derived. With another one, receivers accept no message any more.
    ///
    /// # Errors
    /// As for [`Self::policy_key`].
    pub fn webhook_key(&self) -> anyhow::Result<DerivedKey> {
        Ok(self.kept_secret()?.derive("webhooks"))
    }

    /// The secret of keys that have to last: a server on a file of its own keeps one beside the file if none is configured.
    fn kept_secret(&self) -> anyhow::Result<AppSecret> {
        Ok(match (&self.app_secret, &self.database) {
            (Some(secret), _) => secret.clone(),
            (None, DatabaseUrl::Sqlite(path)) if self.queue.is_none() => AppSecret::kept_beside(path)?,
            (None, DatabaseUrl::Sqlite(_) | DatabaseUrl::MySql(_) | DatabaseUrl::Postgres(_)) => {
                AppSecret::kept_for_dev()?
            }
        })
    }

    /// Whether other servers may serve the same polls.
    pub(super) fn has_other_nodes(&self) -> bool {
        self.queue.is_some() || self.database.is_shared()
    }
}
