//! A TLS client that trusts one certificate.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use throng_testkit::Connection;

use crate::tls::certificate::NAME;

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A connection to `address`, encrypted, if it has a certificate that `trusted` vouches for.
pub fn connect(address: SocketAddr, trusted: &CertificateDer<'static>, offered: &[&str]) -> io::Result<TlsStream> {
    handshake(Connection::tcp(address), config(trusted, offered, rustls::ALL_VERSIONS))
}

/// Encrypts a connection.
pub fn handshake(mut tcp: TcpStream, config: Arc<ClientConfig>) -> io::Result<TlsStream> {
    let mut session = ClientConnection::new(config, ServerName::try_from(NAME).unwrap()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(session, tcp))
}

/// What a client offers: protocols to speak, and versions of TLS.
pub fn config(
    trusted: &CertificateDer<'static>,
    offered: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
