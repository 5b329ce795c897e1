//! The secret from which all keys are derived.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;
use tempfile::{NamedTempFile, PersistError};

/// Minimum number of characters: 32 hexadecimal ones are 128 bits.
const CHARACTERS_MIN: usize = 32;

/// Where a development server stores its generated secret.
const DEV_SECRET_PATH: &str = "var/app_secret";

/// What is appended to a database file's name for the secret of its one server.
pub const SECRET_SUFFIX: &str = ".secret";

/// A secret; it is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(String);

/// A key for one purpose; it is never displayed.
#[derive(Clone)]
pub struct DerivedKey {
    bytes: [u8; 32],
    /// The HMAC under this key before any text: half of the work that a short text takes.
    hmac: Hmac<Sha256>,
}

impl AppSecret {
    /// The key for one purpose: HMAC-SHA256 of the purpose's name under the secret.
    pub fn derive(&self, purpose: &str) -> DerivedKey {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        DerivedKey::new(mac.finalize().into_bytes().into())
    }

    /// The secret shared by the servers and workers that are started in one directory, generated on first use.
    ///
    /// # Errors
    /// If it can't be stored or read.
    pub fn kept_for_dev() -> anyhow::Result<Self> {
        Self::kept(Path::new(DEV_SECRET_PATH))
    }

    /// The secret of the one server on this database file, generated on first use and kept beside the file.
    ///
    /// # Errors
    /// If it can't be stored or read.
    pub fn kept_beside(database: &Path) -> anyhow::Result<Self> {
        // A link to the file is the same database.
        let database = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        let mut path = database.into_os_string();
        path.push(SECRET_SUFFIX);
        Self::kept(Path::new(&path))
    }

    fn kept(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        store_once(path, &rand::rng().random::<[u8; 32]>())
            .and_then(|()| std::fs::read_to_string(path))
            .with_context(|| format!("{name} can't be created or read; set APP_SECRET"))?
            .trim()
            .parse()
            .map_err(|fault: String| anyhow::anyhow!("{name}: {fault}; remove it, or set APP_SECRET"))
    }
}

impl DerivedKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let hmac = Hmac::new_from_slice(&bytes).expect("HMAC takes keys of any length");
        Self { bytes, hmac }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The first 128 bits of the HMAC-SHA256 of these bytes.
    pub fn mac(&self, bytes: impl AsRef<[u8]>) -> u128 {
        let mac: [u8; 32] = self.hmac(bytes).finalize().into_bytes().into();
        u128::from_be_bytes(*mac.first_chunk().expect("32 bytes begin with 16"))
    }

    /// The HMAC-SHA256 of the text that these parts make.
    pub fn mac_of_parts<const PARTS: usize>(&self, parts: [&str; PARTS]) -> [u8; 32] {
        let mut hmac = self.hmac.clone();
        for part in parts {
            hmac.update(part.as_bytes());
        }
        hmac.finalize().into_bytes().into()
    }

    /// Whether `mac` is the one of [`Self::mac`]; compared in constant time.
    pub fn verifies(&self, bytes: impl AsRef<[u8]>, mac: u128) -> bool {
        self.hmac(bytes).verify_truncated_left(&mac.to_be_bytes()).is_ok()
    }

    fn hmac(&self, bytes: impl AsRef<[u8]>) -> Hmac<Sha256> {
        self.hmac.clone().chain_update(bytes)
    }
}

/// Writes `secret` to `path`, readable by its owner alone, unless the path exists. All processes that start at once get the
/// same secret, even with equal process ids, as in two containers that share a volume.
fn store_once(path: &Path, secret: &[u8]) -> std::io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut file = NamedTempFile::new_in(directory)?;
    for byte in secret {
        write!(file, "{byte:02x}")?;
    }
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(PersistError { error, .. }) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret(…)")
    }
}

#[cfg(test)]
impl PartialEq for DerivedKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(…)")
    }
}

impl FromStr for AppSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().count() < CHARACTERS_MIN {
            return Err(format!("it has fewer than {CHARACTERS_MIN} characters; `openssl rand -hex 32` makes one"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_stored_secret_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("var/app_secret");
        store_once(&path, &[1; 32]).unwrap();
        store_once(&path, &[2; 32]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "01".repeat(32));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn concurrent_starts_have_the_same_secret() {
        const STARTING: u8 = 8;
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("var/app_secret");
            let barrier = std::sync::Barrier::new(STARTING.into());
            let read = &|secret| {
                barrier.wait();
                store_once(&path, &[secret; 32]).unwrap();
                std::fs::read_to_string(&path).unwrap()
            };
            let stored: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..STARTING).map(|secret| scope.spawn(move || read(secret))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(stored.iter().all(|secret| *secret == stored[0] && secret.len() == 64), "{stored:?}");
            assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn keys_differ_by_purpose_and_secrets_are_not_shown() {
        let secret: AppSecret = "x".repeat(32).parse().unwrap();
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert!(!format!("{secret:?}").contains('x'));
        assert!("short".parse::<AppSecret>().is_err());
    }
}
