//! Certificates of our own making, and servers that have one.

use std::path::{Path, PathBuf};

use rcgen::generate_simple_self_signed;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use throng_testkit::{Connection, TestServer};

use crate::tls::client::{self, TlsStream};
use crate::tls::frames::Http2;

/// Whom the certificates are for.
pub const NAME: &str = "throng.test";

/// A certificate that vouches for itself, and its key.
pub struct Certificate {
    pub pem: String,
    pub key_pem: String,
    pub der: CertificateDer<'static>,
}

impl Certificate {
    pub fn make() -> Self {
        let made = generate_simple_self_signed([NAME.to_owned()]).unwrap();
        Self { pem: made.cert.pem(), key_pem: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }
}

/// A directory with a certificate and its key.
pub struct Files {
    directory: TempDir,
}

impl Files {
    pub fn with(certificate: &Certificate) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.put(certificate);
        files
    }

    /// Puts a certificate in the place of the one before, as those who renew one do: a new file, moved over the old.
    pub fn put(&self, certificate: &Certificate) {
        replace(&self.certificate(), &certificate.pem);
        replace(&self.key(), &certificate.key_pem);
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    pub fn settings(&self) -> [(&'static str, String); 2] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        [("TLS_CERTIFICATE", text(self.certificate())), ("TLS_KEY", text(self.key()))]
    }
}

pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A server that speaks TLS.
pub struct TlsServer {
    pub server: TestServer,
    pub files: Files,
    pub certificate: Certificate,
}

impl TlsServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that speaks TLS, with these settings beside its own.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let certificate = Certificate::make();
        let files = Files::with(&certificate);
        let own = files.settings();
        let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
        Self { server: TestServer::start_with(&[&own, settings].concat()), files, certificate }
    }

    /// A new encrypted connection on which HTTP/1.1 is spoken.
    pub fn connect(&self) -> Connection<TlsStream> {
        Connection::over(self.stream(&["http/1.1"]))
    }

    /// A new encrypted connection on which HTTP/2 is spoken, frame by frame.
    pub fn http2(&self) -> Http2 {
        Http2::begin(self.stream(&["h2"]))
    }

    /// A new encrypted connection of a client that offers these protocols.
    pub fn stream(&self, offered: &[&str]) -> TlsStream {
        client::connect(self.server.address, &self.certificate.der, offered).unwrap()
    }

    /// How many ballots the default poll's result counts.
    pub fn voters(&self) -> u64 {
        self.connect().request("GET", "/api/v1/polls/demo/results", &[], b"").json()["voters"].as_u64().unwrap()
    }
}
