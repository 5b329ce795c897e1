//! A certificate and its key, from PEM files.

use std::io;
use std::path::{Path, PathBuf};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is wrong with a certificate's files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The certificate's.
    #[error("{0}")]
    Certificate(String),
    /// The key's.
    #[error("{0}")]
    Key(String),
}

impl TlsFiles {
    /// The certificate with its key.
    ///
    /// # Errors
    /// Which of the files can't be used, and why.
    pub fn read(&self) -> Result<CertifiedKey, TlsFault> {
        let chain = chain(&self.certificate).map_err(TlsFault::Certificate)?;
        let key = key(&self.key).map_err(TlsFault::Key)?;
        let key = ring::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsFault::Key(format!("{} has a key that can't be used: {error}", self.key.display())))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsFault::Key(format!(
                "{} is not the key of the certificate in {}",
                self.key.display(),
                self.certificate.display()
            ))),
            Err(error) => {
                Err(TlsFault::Certificate(format!("{} has no valid certificate: {error}", self.certificate.display())))
            }
        }
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("{} has no -----BEGIN CERTIFICATE-----", path.display())),
        chain => chain.map_err(|_| damaged(path)),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if !matches!(error, pem::Error::NoItemsFound) {
            damaged(path)
        } else if is_encrypted(&text) {
            format!("the key in {} is encrypted; `openssl pkey` decrypts it", path.display())
        } else {
            format!("{} has no -----BEGIN PRIVATE KEY-----", path.display())
        }
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error: io::Error| format!("can't read {}: {error}", path.display()))
}

/// What exactly is damaged isn't said: it may be a key.
fn damaged(path: &Path) -> String {
    format!("{} is damaged: one of its blocks can't be read as PEM", path.display())
}
