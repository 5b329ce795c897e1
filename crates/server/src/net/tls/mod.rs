//! TLS, for deployments without a proxy in front.

mod certificate;
mod renewal;
mod stamp;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::certificate::{TlsFaults, TlsFiles};
use self::stamp::Stamp;
use super::write_timeout::{WriteTimeout, late};

/// The protocols offered by ALPN, in order of preference (RFC 7301).
const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Encrypts connections, with the current certificate.
pub struct Tls {
    files: TlsFiles,
    /// The stamp of the files, taken before they were read.
    opened: Stamp,
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

/// The protocol of an encrypted connection.
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Tls {
    /// Loads the certificate in `files`.
    ///
    /// # Errors
    /// Which of the files can't be used, and why.
    pub fn open(files: TlsFiles) -> Result<Self, TlsFaults> {
        let opened = Stamp::of(&files);
        let current = Arc::new(Current(ArcSwap::from_pointee(files.read()?)));
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&current)));
        Ok(Self { files, opened, acceptor, current })
    }

    /// Performs the handshake, which must complete by `deadline`, and negotiates the protocol.
    ///
    /// # Errors
    /// If the handshake fails or is too slow. After a failure, the client has been sent an alert.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        deadline: Instant,
    ) -> io::Result<(TlsStream<TcpStream>, Protocol)> {
        let accepting = timeout_at(deadline, self.acceptor.accept(stream).into_fallible()).await;
        match accepting.map_err(|_| late("the client's handshake is too slow"))? {
            Ok(stream) => {
                let agreed = stream.get_ref().1.alpn_protocol();
                let protocol = if agreed == Some(HTTP_2) { Protocol::Http2 } else { Protocol::Http1 };
                Ok((stream, protocol))
            }
            Err((error, stream)) => {
                // A graceful close, so that the client receives the alert.
                let _ = WriteTimeout::new(stream).shutdown().await;
                Err(error)
            }
        }
    }
}

/// Whether a handshake failed because the client doesn't use TLS.
pub(super) fn is_other_protocol(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3, without early data: a replayed request must not be processed again.
fn server_config(current: &Arc<Current>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Current>::clone(current));
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
    // Sessions are resumed by tickets, which clients keep: the server stores no sessions, which a crowd could fill up. If there
    // is no randomness for a ticketer, every connection has a full handshake.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if let Ok(ticketer) = ring::Ticketer::new() {
        config.ticketer = ticketer;
    }
    config
}

/// The certificate for new connections.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
