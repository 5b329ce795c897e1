//! Reads a certificate and its key from PEM files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain: the certificate first, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Faults of a certificate's files.
#[derive(Debug, PartialEq, Eq)]
pub struct TlsFaults {
    /// The fault of the certificate's file.
    pub certificate: Option<String>,
    /// The fault of the key's file.
    pub key: Option<String>,
}

impl fmt::Display for TlsFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = [&self.certificate, &self.key].into_iter().flatten().map(String::as_str).collect();
        f.write_str(&faults.join("; "))
    }
}

impl std::error::Error for TlsFaults {}

impl TlsFiles {
    /// Reads the certificate and its key, and checks that they match.
    ///
    /// # Errors
    /// Which of the files can't be used, and why.
    pub fn read(&self) -> Result<CertifiedKey, TlsFaults> {
        match (chain(&self.certificate), key(&self.key)) {
            (Ok(chain), Ok(key)) => self.check_key(CertifiedKey::new(chain, key)),
            (chain, key) => Err(TlsFaults { certificate: chain.err(), key: key.err() }),
        }
    }

    fn check_key(&self, certified: CertifiedKey) -> Result<CertifiedKey, TlsFaults> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let fault = format!("{key} is not the key of the certificate in {certificate}");
                Err(TlsFaults { certificate: None, key: Some(fault) })
            }
            Err(error) => {
                let fault = format!("{certificate} has no valid certificate: {error}");
                Err(TlsFaults { certificate: Some(fault), key: None })
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

fn key(path: &Path) -> Result<Arc<dyn SigningKey>, String> {
    let text = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if !matches!(error, pem::Error::NoItemsFound) {
            damaged(path)
        } else if is_encrypted(&text) {
            format!("the key in {} is encrypted; `openssl pkey` decrypts it", path.display())
        } else {
            format!("{} has no -----BEGIN PRIVATE KEY-----", path.display())
        }
    })?;
    let usable = ring::sign::any_supported_type(&key);
    usable.map_err(|error| format!("{} has a key that can't be used: {error}", path.display()))
}

fn is_encrypted(text: &[u8]) -> bool {
    const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))
}

/// Without the error's details: they could contain parts of a key.
fn damaged(path: &Path) -> String {
    format!("{} is damaged: one of its blocks can't be read as PEM", path.display())
}
