//! The secret from which all keys are made.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;
use tempfile::{NamedTempFile, PersistError};

/// The fewest characters: 32 hexadecimal ones are 128 bits.
const CHARACTERS_MIN: usize = 32;

/// Where a development server keeps the one it made.
const KEPT_IN: &str = "var/app_secret";

/// A secret; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(String);

impl AppSecret {
    /// A key for one purpose: HMAC-SHA256 of the purpose's name under the secret.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The secret that servers and workers share which are started in one directory, made when first asked for.
    ///
    /// # Errors
    /// If it can't be kept or read.
    pub fn kept_for_dev() -> anyhow::Result<Self> {
        let path = Path::new(KEPT_IN);
        keep(path, &rand::rng().random::<[u8; 32]>())
            .and_then(|()| std::fs::read_to_string(path))
            .with_context(|| format!("{KEPT_IN} can't be made or read; set APP_SECRET"))?
            .trim()
            .parse()
            .map_err(|fault: String| anyhow::anyhow!("{KEPT_IN}: {fault}; remove it, or set APP_SECRET"))
    }
}

/// Writes `secret` to `path`, readable by its owner alone, unless something is there. All that start at once get the same,
/// those too that have one process id, as in two containers with one volume.
fn keep(path: &Path, secret: &[u8]) -> std::io::Result<()> {
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
    fn the_first_secret_kept_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("var/app_secret");
        keep(&path, &[1; 32]).unwrap();
        keep(&path, &[2; 32]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "01".repeat(32));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn all_that_start_at_once_have_the_same_secret() {
        const STARTING: u8 = 8;
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("var/app_secret");
            let barrier = std::sync::Barrier::new(STARTING.into());
            let read = &|secret| {
                barrier.wait();
                keep(&path, &[secret; 32]).unwrap();
                std::fs::read_to_string(&path).unwrap()
            };
            let kept: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..STARTING).map(|secret| scope.spawn(move || read(secret))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(kept.iter().all(|secret| *secret == kept[0] && secret.len() == 64), "{kept:?}");
            assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    #[test]
    fn purposes_have_keys_of_their_own_and_secrets_are_not_shown() {
        let secret: AppSecret = "x".repeat(32).parse().unwrap();
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert!(!format!("{secret:?}").contains('x'));
        assert!("short".parse::<AppSecret>().is_err());
    }
}
