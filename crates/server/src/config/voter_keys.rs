//! The setting of the keys that verify voters' tokens.

use super::token_keys::TokenKeys;
use super::{Config, Reader};

const SETTING: &str = "VOTER_KEYS";

impl Config {
    /// The keys that verify voters' tokens; `None` if there is no file of them.
    ///
    /// # Errors
    /// If the file can't be used.
    pub fn token_keys(&self) -> anyhow::Result<Option<TokenKeys>> {
        let read = |path| TokenKeys::read(path).map_err(|faults| anyhow::anyhow!("{SETTING}: {}", faults.join("; ")));
        self.voter_keys.as_deref().map(read).transpose()
    }
}

impl Reader<'_> {
    /// Checks that a server can use the keys.
    pub(super) fn check_token_keys(&mut self, config: &Config) {
        let faults = config.voter_keys.as_deref().and_then(|path| TokenKeys::read(path).err());
        for fault in faults.into_iter().flatten() {
            self.fault(SETTING, &fault);
        }
    }
}
